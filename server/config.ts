/** The server's settings. Each is defined in settings/. */
import { type Environment, InvalidConfigurationError } from '@inferql/settings/define-settings';
import { isLoopback } from '@inferql/settings/network-types';
import { readSettings } from '@inferql/settings/settings';

export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the server's settings from environment variables.
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 */
export function readConfig(env: Environment) {
  const config = readSettings('server', env);
  if (config.auth === 'off' && !isLoopback(config.host))
    throw new InvalidConfigurationError([describeOpenServer(config)]);
  return config;
}

const describeOpenServer = ({ host }: { host: string }) =>
  `HOST is '${host}', which other machines can reach, and INFERQL_AUTH is off. Set INFERQL_AUTH=keys, or INFERQL_AUTH=off-and-public if anyone who reaches the port may use everything.`;
