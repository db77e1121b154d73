/** The server's settings. Each is defined in settings/. */
import type { Environment } from '@inferql/settings/define-settings';
import { checkExposure, readSettings } from '@inferql/settings/settings';

export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the server's settings from environment variables.
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 */
export function readConfig(env: Environment) {
  const config = readSettings('server', env);
  checkExposure(config);
  return config;
}
