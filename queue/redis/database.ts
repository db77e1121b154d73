/** The database that REDIS_URL names. */
import { Redis } from 'ioredis';
import type { RedisConnection } from './connection.ts';
import { UnsuitableRedisError } from './version.ts';

/** Redis does not have the database of the URL, or its user may not select it. */
export class DatabaseRefusedError extends UnsuitableRedisError {}

/**
 * Selects the database of the URL. A connection does that, too, but continues in database 0 if Redis refuses.
 * @throws DatabaseRefusedError that names the database; the errors of connections
 */
export async function checkRedisDatabase(redis: RedisConnection): Promise<void> {
  const db = redis instanceof Redis ? redis.options.db : undefined;
  if (!db) return;
  try {
    await redis.select(db);
  } catch (error) {
    const { message } = error as Error;
    if (!/^(ERR|NOPERM)/.test(message)) throw error;
    throw new DatabaseRefusedError(
      `Redis does not let this user select database ${db}, which REDIS_URL names (${message})`,
    );
  }
}
