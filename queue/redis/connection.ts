/** Connections to Redis: one server, Sentinel or Cluster, as the URL says. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl } from './url.ts';

export type RedisConnection = Redis | Cluster;

/**
 * The purpose of a connection. `request`: a caller waits, so commands fail at once if Redis is down, and within seconds if it hangs.
 * `work`: commands wait until Redis is back. `blocking`: like `work`, for a single blocking command. `subscriber`: for Pub/Sub.
 */
export type ConnectionRole = 'request' | 'work' | 'blocking' | 'subscriber';

/** Longest time that a caller's command may take. */
const REQUEST_TIMEOUT_MS = 3_000;
/**
 * A connection is replaced if it cannot be opened, or a command gets no reply, for this long. Nothing else detects a network that
 * drops all packets: the kernel retransmits for a quarter of an hour. No command blocks for longer than a second.
 */
const SILENCE_LIMIT_MS = 5_000;

/** Soon enough for a restarted Redis, rare enough for one that stays away. */
const chooseRetryDelayMs = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000);

type Options = Omit<RedisOptions, 'replyMapping'> & { replyMapping: 'legacy' };

function roleOptions(role: ConnectionRole): Options {
  const shared: Options = {
    replyMapping: 'legacy',
    connectTimeout: SILENCE_LIMIT_MS,
    socketTimeout: SILENCE_LIMIT_MS,
    keepAlive: 5_000,
    retryStrategy: chooseRetryDelayMs,
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
 * Opens a connection. It emits `refused`, with the error, if Redis is read-only or is one node of a cluster: nothing else shows it.
 * @param url as `parseRedisUrl` takes it
 * @throws TypeError if the URL has another form
 */
export function connectRedis(url: string, role: ConnectionRole): RedisConnection {
  const connection = openConnection(url, {
    ...roleOptions(role),
    // A failover leaves the old master read-only: look for the new one.
    reconnectOnError(error) {
      if (error.message.startsWith('MOVED') && connection instanceof Redis) connection.emit('refused', error);
      if (!error.message.startsWith('READONLY')) return false;
      connection.emit('refused', error);
      return 2;
    },
  });
  return connection;
}

function openConnection(url: string, options: Options): RedisConnection {
  const address = parseRedisUrl(url);
  const { username, password, sentinelUsername, sentinelPassword, tls, family, db, hosts } = address;
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
      const { enableOfflineQueue, ...redisOptions } = options;
      return new Cluster([...hosts], {
        redisOptions: { ...redisOptions, ...access },
        ...(enableOfflineQueue === undefined ? {} : { enableOfflineQueue }),
        clusterRetryStrategy: chooseRetryDelayMs,
        ...(tls ? { dnsLookup: (host, done) => done(null, host) } : {}),
      });
    }
    case 'sentinel':
      return new Redis({
        ...options,
        ...access,
        sentinels: [...hosts],
        name: address.masterName!,
        ...(sentinelUsername !== undefined && { sentinelUsername }),
        ...(sentinelPassword !== undefined && { sentinelPassword }),
        sentinelRetryStrategy: chooseRetryDelayMs,
        // Otherwise a Sentinel that hangs would never be passed over for the next one.
        sentinelCommandTimeout: SILENCE_LIMIT_MS,
        // Without it, ioredis connects without encryption, whatever `tls` is.
        ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: {} }),
      });
    default:
      return address.kind satisfies never;
  }
}
