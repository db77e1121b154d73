/** Whether the Redis of REDIS_URL can be used: its version, and a cluster that is addressed as one server. */
import type { RedisConnection } from './connection.ts';

/** Lua scripts with flags came with Redis 7; every Valkey has them. */
export const OLDEST_REDIS = 7;

/** REDIS_URL leads to a Redis that cannot be used, however long one waits. */
export class UnsuitableRedisError extends Error {}

/**
 * Waits until Redis answers.
 * @throws UnsuitableRedisError if Redis is too old, or is one of several nodes of a cluster and the URL does not say so; the errors of
 *   connections
 */
export async function checkRedisVersion(redis: RedisConnection): Promise<void> {
  const info = await redis.info('server');
  const version = /^redis_version:(\d+)[^\r\n]*/m.exec(info);
  if (version && Number(version[1]) < OLDEST_REDIS) {
    const found = version[0].slice('redis_version:'.length);
    throw new UnsuitableRedisError(
      `Redis ${OLDEST_REDIS} or later (or Valkey) is needed, but the server at REDIS_URL has version ${found}`,
    );
  }
  if (!redis.isCluster && /^(redis|server)_mode:cluster/m.test(info) && (await hasOtherNodes(redis))) {
    throw new UnsuitableRedisError(
      'The server at REDIS_URL is a node of a cluster: write redis+cluster:// instead of redis:// (rediss+cluster:// with TLS)',
    );
  }
}

/** A cluster of one node, which has every key, can be used like a single server. */
async function hasOtherNodes(redis: RedisConnection): Promise<boolean> {
  const info = await redis.cluster('INFO').catch((error: Error) => {
    if (/^NOPERM/.test(error.message)) return '';
    throw error;
  });
  return Number(/^cluster_size:(\d+)/m.exec(info)?.[1] ?? 1) > 1;
}
