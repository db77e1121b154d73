import { connectRedis } from '@inferql/queue/redis/connection';
import { reportConnections } from '@inferql/queue/redis/outage-report';
import { checkRedisSetup } from '@inferql/queue/redis/settings-check';
import type { Logger } from 'pino';
import type { Config } from './config.ts';

/** A server's connections to Redis: outages are logged once each, and settings of Redis that lose data. */
export function openConnections({ redisUrl }: Pick<Config, 'redisUrl'>, log: Logger) {
  const redis = connectRedis(redisUrl, 'request');
  const subscriber = connectRedis(redisUrl, 'subscriber');
  reportConnections([redis, subscriber], redisUrl, log);
  redis.once('ready', () => {
    checkRedisSetup(redis).then((problems) => {
      for (const problem of problems) log.warn(problem);
    });
  });
  return {
    redis,
    subscriber,
    close(): void {
      redis.disconnect();
      subscriber.disconnect();
    },
  };
}
