import { connectRedis } from '@inferql/queue/redis/connection';
import { checkRedisDatabase } from '@inferql/queue/redis/database';
import { isAccessRefused } from '@inferql/queue/redis/errors';
import { reportConnections } from '@inferql/queue/redis/outage-report';
import { checkRedisSetup } from '@inferql/queue/redis/settings-check';
import { checkRedisVersion, UnsuitableRedisError } from '@inferql/queue/redis/version';
import type { Logger } from 'pino';
import type { Config } from './config.ts';

/**
 * A server's connections to Redis: outages are logged once each, and settings of Redis that lose data.
 * @returns the connections; `checked` resolves once Redis has answered, and rejects if it is too old, is one node of a cluster, or refuses
 *   the database, which ends the connections: they would use another system's
 */
export function openConnections({ redisUrl }: Pick<Config, 'redisUrl'>, log: Logger) {
  const redis = connectRedis(redisUrl, 'request');
  const subscriber = connectRedis(redisUrl, 'subscriber');
  reportConnections([redis, subscriber], redisUrl, log);
  const close = () => {
    redis.disconnect();
    subscriber.disconnect();
  };
  const checked = new Promise<void>((resolve, reject) => {
    redis.once('ready', async () => {
      try {
        await checkRedisVersion(redis).catch((error) => {
          // Its user may have all other rights; the check of the settings says what is missing.
          if (!isAccessRefused(error)) throw error;
        });
        await checkRedisDatabase(redis);
        resolve();
        for (const problem of await checkRedisSetup(redis)) log.warn(problem);
      } catch (error) {
        if (!(error instanceof UnsuitableRedisError)) return resolve();
        close();
        reject(error);
      }
    });
  });
  // Whoever needs it asks for it.
  checked.catch(() => undefined);
  return { redis, subscriber, checked, close };
}
