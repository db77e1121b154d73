import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RedisRecorder, startRedisRecorder } from './redis-recorder.ts';
import { startTestRedis, type TestRedis } from './redis-server.ts';

let redis: TestRedis;
let recorder: RedisRecorder;
let through: Redis;
let direct: Redis;

beforeEach(async () => {
  redis = await startTestRedis();
  recorder = await startRedisRecorder(redis.port, ([command, , field]) =>
    command === 'hget' ? `hget ${field}` : command!.toLowerCase(),
  );
  through = new Redis(recorder.url);
  direct = new Redis(redis.url);
  await through.ping();
  recorder.take();
});

afterEach(async () => {
  through.disconnect();
  direct.disconnect();
  await recorder.stop();
  await redis.stop();
});

test('commands and replies are counted to the byte, also those that TCP splits', async () => {
  const value = Buffer.alloc(1_000_000, 7);
  expect(await through.set('key', value)).toBe('OK');
  expect(value.equals((await through.getBuffer('key'))!)).toBe(true);
  expect([...recorder.take()]).toEqual([
    [
      'set',
      { count: 1, sentBytes: '*3\r\n$3\r\nset\r\n$3\r\nkey\r\n$1000000\r\n\r\n'.length + 1_000_000, receivedBytes: 5 },
    ],
    [
      'get',
      {
        count: 1,
        sentBytes: '*2\r\n$3\r\nget\r\n$3\r\nkey\r\n'.length,
        receivedBytes: '$1000000\r\n\r\n'.length + 1_000_000,
      },
    ],
  ]);
  expect([...recorder.take()]).toEqual([]);
});

test('a reply counts when it comes, under the name of its command, even if others were sent in between', async () => {
  await through.hset('hash', { a: 'x', b: 'y'.repeat(100) });
  recorder.take();
  await Promise.all([through.hget('hash', 'a'), through.hget('hash', 'b'), through.hget('hash', 'a')]);
  const traffic = recorder.take();
  expect(traffic.get('hget a')).toMatchObject({ count: 2, receivedBytes: 2 * '$1\r\nx\r\n'.length });
  expect(traffic.get('hget b')).toMatchObject({ count: 1, receivedBytes: '$100\r\n\r\n'.length + 100 });
});

test('messages are counted apart from replies', async () => {
  const messages: string[] = [];
  const received = new Promise<void>((resolve) => {
    through.on('message', (_channel, message) => {
      messages.push(message);
      if (messages.length === 2) resolve();
    });
  });
  await through.subscribe('channel');
  recorder.take();
  await direct.publish('channel', 'one');
  await direct.publish('channel', 'two');
  await received;
  expect([...recorder.take()]).toEqual([
    [
      'message',
      { count: 2, sentBytes: 0, receivedBytes: 2 * '*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$3\r\none\r\n'.length },
    ],
  ]);
});
