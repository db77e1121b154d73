/** Connections to Redis: one server, Sentinel or Cluster, as the URL says. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { InferqlError } from './errors.ts';
import { parseRedisUrl } from './redis-url.ts';

export type RedisConnection = Redis | Cluster;

/**
 * What a connection is for. `request`: a caller waits, so it fails at once if Redis is gone, and within seconds if it hangs.
 * `work`: commands wait for Redis to come back. `blocking`: as work, for one command that blocks. `subscriber`: a channel's listener.
 */
export type ConnectionRole = 'request' | 'work' | 'blocking' | 'subscriber';

/** Longest time that a caller's command may take. */
const REQUEST_TIMEOUT_MS = 3_000;
/**
 * A connection is replaced if it cannot be opened, or a command gets no reply, for this long. Nothing else notices a network that
 * drops everything: the kernel retransmits for a quarter of an hour. No command blocks for longer than a second.
 */
const SILENCE_LIMIT_MS = 5_000;

type Options = Omit<RedisOptions, 'replyMapping'> & { replyMapping: 'legacy' };

function roleOptions(role: ConnectionRole): Options {
  const shared: Options = {
    replyMapping: 'legacy',
    connectTimeout: SILENCE_LIMIT_MS,
    socketTimeout: SILENCE_LIMIT_MS,
    keepAlive: 5_000,
    // Soon enough for a restarted Redis, rare enough for one that stays away.
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000),
    // A failover leaves the old master read-only: look for the new one.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
  };
  switch (role) {
    case 'request':
      return { ...shared, enableOfflineQueue: false, commandTimeout: REQUEST_TIMEOUT_MS, maxRetriesPerRequest: 1 };
    case 'work':
      return { ...shared, maxRetriesPerRequest: null };
    case 'blocking':
      // Sent again after a reconnect. Otherwise the command would never settle, neither with a reply nor with an error.
      return { ...shared, maxRetriesPerRequest: null, autoResendUnfulfilledCommands: true };
    case 'subscriber':
      return { ...shared, maxRetriesPerRequest: null, autoResubscribe: false };
    default:
      return role satisfies never;
  }
}

/**
 * Opens a connection.
 * @param url as `parseRedisUrl` takes it
 * @throws TypeError if the URL has another form
 */
export function connectRedis(url: string, role: ConnectionRole): RedisConnection {
  const options = roleOptions(role);
  const address = parseRedisUrl(url);
  const { username, password, tls, family, db, hosts } = address;
  const access = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: {} }),
    ...(family !== undefined && { family }),
  };
  switch (address.kind) {
    case 'single': {
      const place = address.socketPath === undefined ? hosts[0]! : { path: address.socketPath };
      return new Redis({ ...options, ...access, ...place, ...(db !== undefined && { db }) });
    }
    case 'cluster': {
      const { retryStrategy, enableOfflineQueue, ...redisOptions } = options;
      return new Cluster([...hosts], {
        redisOptions: { ...redisOptions, ...access },
        ...(enableOfflineQueue === undefined ? {} : { enableOfflineQueue }),
        clusterRetryStrategy: (attempt) => retryStrategy!(attempt) as number,
        ...(tls ? { dnsLookup: (host, done) => done(null, host) } : {}),
      });
    }
    case 'sentinel':
      return new Redis({ ...options, ...access, sentinels: [...hosts], name: address.masterName! });
    default:
      return address.kind satisfies never;
  }
}

/** Replies that mean that Redis cannot take any command now. */
const REFUSALS =
  /^(OOM|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF|UNBLOCKED|ERR max number of clients|EXECABORT)/;
const BROKEN_CONNECTION =
  /Connection is closed|enableOfflineQueue|max retries per request|Command timed out|ECONN|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH|None of startup nodes|Cluster isn't ready|Too many Cluster redirections|ClusterAllFailedError|Stream isn't writeable/;

/** True if Redis is gone, hangs, or refuses for now: a reason to wait, not a bug. */
export function isRedisUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // A script's refusal has Redis' message after a prefix.
  const message = error.message.replace(/^(ERR Error running script[^:]*: )?-?/, '');
  return (
    REFUSALS.test(message) ||
    BROKEN_CONNECTION.test(`${error.message} ${error.name} ${code}`) ||
    /OOM command not allowed/.test(message)
  );
}

/** Runs a command for a caller. Rejects with UNAVAILABLE if Redis cannot be used; every other error is passed on. */
export async function callRedis<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (cause) {
    if (isRedisUnavailable(cause)) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000, cause });
    throw cause;
  }
}

/** Lua scripts with flags came with Redis 7. */
const OLDEST_REDIS = 7;

/**
 * Waits until Redis answers.
 * @throws Error that names both versions if Redis is too old
 */
export async function checkRedisVersion(redis: RedisConnection): Promise<void> {
  const info = await redis.info('server');
  const version = /^redis_version:(\d+)[^\r\n]*/m.exec(info);
  if (version && Number(version[1]) < OLDEST_REDIS) {
    const found = version[0].slice('redis_version:'.length);
    throw new Error(`Redis ${OLDEST_REDIS} or later (or Valkey) is needed, but REDIS_URL leads to version ${found}`);
  }
}
