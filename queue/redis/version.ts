/** The oldest version of Redis that works, and the check that a server is not older. */
import type { RedisConnection } from './connection.ts';

/** Lua scripts with flags came with Redis 7; every Valkey has them. */
export const OLDEST_REDIS = 7;

/**
 * Waits until Redis answers.
 * @throws Error that names both versions if Redis is too old
 */
export async function checkRedisVersion(redis: RedisConnection): Promise<void> {
  const info = await redis.info('server');
  const version = /^redis_version:(\d+)[^\r\n]*/m.exec(info);
  if (version && Number(version[1]) < OLDEST_REDIS) {
    const found = version[0].slice('redis_version:'.length);
    throw new Error(
      `Redis ${OLDEST_REDIS} or later (or Valkey) is needed, but the server at REDIS_URL has version ${found}`,
    );
  }
}
