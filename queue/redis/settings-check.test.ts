import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { afterEach, expect, test } from 'vitest';
import { connectRedis } from './connection.ts';
import { checkRedisSetup } from './settings-check.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function check(options: Parameters<typeof startTestRedis>[0], rules: string[] = []): Promise<string[]> {
  const server = await startTestRedis(options);
  closers.push(() => server.stop());
  const redis = connectRedis(server.url, 'work');
  closers.push(() => redis.disconnect());
  if (rules.length > 0) await redis.call('ACL', 'SETUSER', 'default', ...rules);
  return checkRedisSetup(redis);
}

test.each([[['--maxmemory', '100mb']], [['--maxmemory-policy', 'allkeys-lru']]])(
  'a Redis that keeps what is queued and evicts nothing passes: %s',
  async (args) => {
    expect(await check({ persistent: true, args })).toEqual([]);
  },
);

test('one without an append-only file is named', async () => {
  expect(await check({})).toEqual([expect.stringContaining('appendonly yes')]);
});

test('one that evicts keys is named', async () => {
  const args = ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'];
  expect(await check({ persistent: true, args })).toEqual([expect.stringContaining('noeviction')]);
});

test('a user that may not ask is named, with the command that it lacks', async () => {
  expect(await check({ persistent: true }, ['-info'])).toEqual([
    expect.stringMatching(/NOPERM.*Allow its user the command INFO/),
  ]);
});
