/** The server's settings. Each is defined in settings/. */
import { LIMITS_EXPECTED, parseLimits } from '@inferql/queue/access/limit-rules';
import { type Environment, InvalidConfigurationError } from '@inferql/settings/define-settings';
import { checkExposure, readSettings, settings } from '@inferql/settings/settings';
import { JWT_ALGORITHMS } from './access/jwt-algorithms.ts';

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
  if (config.imageUrls === 'allowlist' && config.imageUrlHosts.length === 0) {
    const { imageUrls, imageUrlHosts } = settings;
    throw new InvalidConfigurationError([`${imageUrlHosts.name} is not set: ${imageUrls.name}=allowlist needs it.`]);
  }
  checkJwt(config);
  return config;
}

/** Tokens are checked completely or not at all. */
function checkJwt(config: ReturnType<typeof readSettings<'server'>>): void {
  if (config.auth !== 'jwt' && config.auth !== 'keys+jwt') return;
  const problems: string[] = [];
  for (const key of ['jwks', 'jwtIssuer', 'jwtAudience'] as const) {
    if (config[key] === '') problems.push(`${settings[key].name} is not set: INFERQL_AUTH=${config.auth} needs it.`);
  }
  if (config.jwks !== '' && !URL.canParse(config.jwks)) {
    const { name, type } = settings.jwks;
    problems.push(`${name} is '${config.jwks}': expected ${type.expected}.`);
  }
  const { name } = settings.jwtAlgorithms;
  for (const algorithm of config.jwtAlgorithms) {
    if (isAllowedAlgorithm(algorithm)) continue;
    problems.push(`${name} names '${algorithm}': expected some of ${JWT_ALGORITHMS.join(', ')}.`);
  }
  if (config.jwtAlgorithms.length === 0) problems.push(`${name} names no algorithm.`);
  if (problems.length > 0) throw new InvalidConfigurationError(problems);
}

const isAllowedAlgorithm = (name: string) => JWT_ALGORITHMS.some((allowed) => allowed === name);
