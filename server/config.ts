/** The server's settings. Each is defined in settings/. */
import { LIMITS_EXPECTED, parseLimits } from '@inferql/queue/limit-rules';
import { type Environment, InvalidConfigurationError } from '@inferql/settings/define-settings';
import { checkExposure, readSettings, settings } from '@inferql/settings/settings';

export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the server's settings from environment variables.
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 */
export function readConfig(env: Environment) {
  const config = readSettings('server', env);
  checkExposure(config);
  for (const key of ['tenantLimits', 'addressLimits'] as const) {
    if (parseLimits(config[key], key)) continue;
    const { name } = settings[key];
    throw new InvalidConfigurationError([`${name} is '${config[key]}': expected ${LIMITS_EXPECTED}.`]);
  }
  return config;
}
