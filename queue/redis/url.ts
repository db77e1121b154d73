/** The only parser of REDIS_URL, for servers, workers, commands and the launcher. */

export interface RedisAddress {
  readonly kind: 'single' | 'cluster' | 'sentinel';
  /** Empty for a socket. More than one only for Cluster and Sentinel. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly socketPath?: string;
  /** For Sentinel: the name of the master. */
  readonly masterName?: string;
  readonly db?: number;
  /** IP version to look names up for; 0 takes both. */
  readonly family?: 0 | 4 | 6;
  readonly username?: string;
  readonly password?: string;
  /** For Sentinels that require a login. */
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
  readonly tls: boolean;
  /** For messages and logs: the address without credentials. */
  readonly shown: string;
}

const URL_PARTS = /^(rediss?)(?:\+(cluster|sentinel))?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const HOST_AND_PORT = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/;
const FORMS =
  'redis://[user:password@]host:port[/db], rediss:// for TLS, redis+cluster://host:port,host:port, redis+sentinel://host:port,host:port/master or the path of a socket';

/**
 * Parses `redis://[user:password@]host[:port][/db]`, `rediss://…` (TLS), `redis+cluster://[user:password@]host:port,host:port`,
 * `redis+sentinel://[user:password@]host:port,host:port/master-name` (`rediss+…` for TLS), or the path of a socket.
 * With Sentinel, user and password are those of Redis; `?sentinelPassword=` and `&sentinelUsername=` are those of the Sentinels. They are percent-encoded. Text without a colon before the @ is a password, as for redis-cli: a user alone cannot log in.
 * @throws TypeError that says what was expected. It does not repeat the URL, which may hold a password.
 * @example
 * parseRedisUrl('rediss://app:p%40ss@redis.example:6380/2');
 */
export function parseRedisUrl(url: string): RedisAddress {
  if (url.startsWith('/')) return { kind: 'single', hosts: [], socketPath: url, tls: false, shown: url };
  const parts = URL_PARTS.exec(url);
  if (!parts) throw new TypeError(`REDIS_URL is not an address: expected ${FORMS}.`);
  const [, scheme, many, credentials, hostList, path = '', query = ''] = parts;
  // Otherwise the messages below would show what seems to be a host or a path, and is a part of the password.
  if (`${path}${query}`.includes('@')) {
    throw new TypeError(
      "REDIS_URL: '/', '?', '#' and '@' in user or password must be written as %2F, %3F, %23 and %40.",
    );
  }
  const kind = (many ?? 'single') as RedisAddress['kind'];
  const hosts = parseHosts(hostList!, kind);
  return {
    kind,
    hosts,
    ...parsePath(path, kind),
    ...parseQuery(query, kind),
    ...parseCredentials(credentials),
    tls: scheme === 'rediss',
    shown: hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(','),
  };
}

/** Whether {@link parseRedisUrl} accepts it. */
export function isRedisUrl(value: unknown): boolean {
  try {
    parseRedisUrl(value as string);
    return true;
  } catch {
    return false;
  }
}

function parseHosts(list: string, kind: RedisAddress['kind']): { host: string; port: number }[] {
  const defaultPort = kind === 'sentinel' ? 26_379 : 6_379;
  const hosts = list.split(',').map((part) => {
    const match = HOST_AND_PORT.exec(part.trim());
    const port = Number(match?.[2] ?? defaultPort);
    if (!match || port < 1 || port > 65_535)
      throw new TypeError(`REDIS_URL is not an address: '${part}' is not host:port.`);
    return { host: match[1]!.replace(/^\[|\]$/g, ''), port };
  });
  if (kind === 'single' && hosts.length > 1) {
    throw new TypeError('REDIS_URL has several hosts: expected redis+cluster:// or redis+sentinel:// before them.');
  }
  return hosts;
}

function parsePath(path: string, kind: RedisAddress['kind']): { db?: number; masterName?: string } {
  if (kind === 'sentinel') {
    if (path === '') throw new TypeError('REDIS_URL: redis+sentinel:// needs the name of the master after the hosts.');
    return { masterName: decode(path) };
  }
  if (path === '') return {};
  if (!/^\d+$/.test(path) || (kind === 'cluster' && Number(path) !== 0)) {
    throw new TypeError(
      kind === 'cluster'
        ? 'REDIS_URL: a cluster has no databases. Expected nothing after the hosts.'
        : `REDIS_URL: '${path}' is not the number of a database.`,
    );
  }
  return kind === 'cluster' ? {} : { db: Number(path) };
}

function parseQuery(
  query: string,
  kind: RedisAddress['kind'],
): Pick<RedisAddress, 'family' | 'sentinelUsername' | 'sentinelPassword'> {
  const found: { family?: 0 | 4 | 6; sentinelUsername?: string; sentinelPassword?: string } = {};
  for (const part of query.split('&').filter(Boolean)) {
    const equals = part.indexOf('=');
    const name = equals === -1 ? part : part.slice(0, equals);
    const value = equals === -1 ? '' : decode(part.slice(equals + 1));
    switch (name) {
      case 'family':
        if (value !== '0' && value !== '4' && value !== '6') throw new TypeError('REDIS_URL: family is 0, 4 or 6.');
        found.family = Number(value) as 0 | 4 | 6;
        break;
      case 'sentinelUsername':
      case 'sentinelPassword':
        if (kind !== 'sentinel')
          throw new TypeError(`REDIS_URL: '${name}' needs redis+sentinel:// or rediss+sentinel://.`);
        if (value !== '') found[name] = value;
        break;
      default:
        // It may be the rest of the password.
        if (query.includes('sentinelPassword='))
          throw new TypeError("REDIS_URL: an unknown parameter. A '&' in a password must be written as %26.");
        throw new TypeError(
          `REDIS_URL: the parameter '${name}' is not supported; 'family', 'sentinelUsername' and 'sentinelPassword' are.`,
        );
    }
  }
  return found;
}

function parseCredentials(credentials: string | undefined): { username?: string; password?: string } {
  if (!credentials) return {};
  // The first colon separates: a password may contain more.
  const colon = credentials.indexOf(':');
  const username = colon === -1 ? '' : decode(credentials.slice(0, colon));
  const password = decode(credentials.slice(colon + 1));
  return { ...(username && { username }), ...(password && { password }) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError("REDIS_URL: a '%' in user, password, name or parameter must be written as %25.");
  }
}
