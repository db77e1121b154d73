import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { runScenario } from './scenario.ts';

/** With everysec, Redis holds back its writes while the disk flushes earlier ones. They are lost with its process: docs/delivery.md. */
async function untilNothingIsHeldBack(url: string): Promise<void> {
  const client = new Redis(url);
  try {
    await expect
      .poll(() => client.info('persistence'), { interval: 10, timeout: 30_000 })
      .toContain('aof_pending_bio_fsync:0');
  } finally {
    client.disconnect();
  }
}

test.each([
  ['everysec', { args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] }],
  ['always', { persistent: true }],
])(
  'a Redis that was killed and started again, appendfsync %s: waits and subscriptions continue automatically',
  async (fsync, redisOptions) => {
    await runScenario({
      fault: `kill -9 of Redis, appendfsync ${fsync}`,
      redis: redisOptions,
      async act({ redis, load }) {
        await untilNothingIsHeldBack(redis.url);
        await redis.kill9();
        const refused = () => load.refusals.UNAVAILABLE ?? 0;
        const before = refused();
        await load.until(() => refused() > before);
        await redis.restart();
      },
    });
  },
);

test('a Redis out of memory refuses new work, returns all results, and recovers automatically', async () => {
  const { load } = await runScenario({
    fault: 'Redis out of memory',
    redis: { args: ['--maxmemory', '24mb'] },
    load: { mixed: false },
    async act({ redis, load }) {
      const client = new Redis(redis.url);
      const piece = Buffer.alloc(1024 * 1024, 1);
      let pieces = 0;
      // Until Redis refuses writes.
      while (await client.rpush('filler', piece).then(Boolean, () => false)) pieces += 1;
      expect(pieces).toBeGreaterThan(0);
      // It stays full, even though the queue drains and frees memory.
      await client.config('SET', 'maxmemory', '12mb');
      await load.until(() => (load.refusals.UNAVAILABLE ?? 0) > 20);
      // The queue drains although nothing more can be stored.
      await load.until(() => load.inFlight() === 0);
      await delay(500);
      await client.config('SET', 'maxmemory', '24mb');
      await client.del('filler');
      client.disconnect();
    },
  });
  expect(Object.keys(load.refusals)).toEqual(['UNAVAILABLE']);
});
