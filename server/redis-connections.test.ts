import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { openConnections } from './redis-connections.ts';

async function open(path: string) {
  const server = await startTestRedis();
  onTestFinished(() => server.stop());
  const connections = openConnections({ redisUrl: `${server.url}/${path}` }, pino({ level: 'silent' }));
  onTestFinished(connections.close);
  return connections;
}

test('a database that Redis does not have is refused, and nothing goes to another one', async () => {
  const { checked, redis } = await open('99');
  await expect(checked).rejects.toThrow('database 99, which REDIS_URL names');
  await expect(redis.set('key', 'value')).rejects.toThrow();
});

test('a database that Redis has is used', async () => {
  const { checked, redis } = await open('9');
  await checked;
  await redis.set('key', 'value');
  await redis.select(0);
  expect(await redis.get('key')).toBeNull();
});
