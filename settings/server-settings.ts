/** The server's settings and which of them need each other, and those of a whole system. */
import { type Environment, InvalidConfigurationError } from './define-settings.ts';
import { isLoopback } from './origins-and-proxies.ts';
import { readSettings, settings } from './settings.ts';

export type ServerSettings = ReturnType<typeof readSettings<'server'>>;

/**
 * Reads and checks everything that the server requires of its environment.
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 */
export function readServerSettings(env: Environment): ServerSettings {
  const values = readSettings('server', env);
  const problems = [...findExposure(values), ...findMissingHosts(values), ...findMissingForTokens(values)];
  if (problems.length > 0) throw new InvalidConfigurationError(problems);
  return values;
}

/**
 * A sentence for each setting that a server, a worker or the launcher refuses. Whoever starts them asks first, so that a mistake is
 * reported before anything is prepared.
 */
export function findSettingProblems(env: Environment): string[] {
  const readers = [
    readServerSettings,
    (given: Environment) => readSettings('worker', given),
    (given: Environment) => readSettings('launcher', given),
  ];
  const problems = readers.flatMap((read) => {
    try {
      read(env);
      return [];
    } catch (error) {
      if (error instanceof InvalidConfigurationError) return error.problems;
      throw error;
    }
  });
  // Several of them read the same setting.
  return [...new Set(problems)];
}

/** A server that other machines can reach without authentication, unless that was requested explicitly. */
function findExposure({ host, auth }: ServerSettings): string[] {
  if (auth !== 'off' || isLoopback(host)) return [];
  return [
    `HOST is '${host}', which other machines can reach, and INFERQL_AUTH is off. Set INFERQL_AUTH=keys, or INFERQL_AUTH=off-and-public if anyone who reaches the port may use everything.`,
  ];
}

function findMissingHosts({ imageUrls, imageUrlHosts }: ServerSettings): string[] {
  if (imageUrls !== 'allowlist' || imageUrlHosts.length > 0) return [];
  return [`${settings.imageUrlHosts.name} is not set: ${settings.imageUrls.name}=allowlist needs it.`];
}

/** Tokens are checked completely or not at all. */
function findMissingForTokens(values: ServerSettings): string[] {
  if (values.auth !== 'jwt' && values.auth !== 'keys+jwt') return [];
  return (['jwks', 'jwtIssuer', 'jwtAudience'] as const)
    .filter((key) => values[key] === '')
    .map((key) => `${settings[key].name} is not set: ${settings.auth.name}=${values.auth} needs it.`);
}
