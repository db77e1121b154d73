/** A private Redis for the tests of a command, empty before each test. */
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { afterAll, beforeAll, beforeEach } from 'vitest';

export interface CommandRedis {
  server: TestRedis;
  redis: RedisConnection;
  blockingRedis: RedisConnection;
}

/** Filled in before the first test. */
export function useRedis(): Readonly<CommandRedis> {
  const used = {} as CommandRedis;
  beforeAll(async () => {
    used.server = await startTestRedis();
    used.redis = connectRedis(used.server.url, 'work');
    used.blockingRedis = connectRedis(used.server.url, 'blocking');
  });
  afterAll(async () => {
    used.redis.disconnect();
    used.blockingRedis.disconnect();
    await used.server.stop();
  });
  beforeEach(async () => {
    await used.redis.flushall();
  });
  return used;
}
