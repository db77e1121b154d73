import { once } from 'node:events';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RedisProxy, startRedisProxy } from './redis-proxy.ts';
import { startTestRedis, type TestRedis } from './redis-server.ts';

let redis: TestRedis;
let proxy: RedisProxy;
let direct: Redis;
let through: Redis;

beforeEach(async () => {
  redis = await startTestRedis();
  proxy = await startRedisProxy(redis.port);
  direct = new Redis(redis.url);
  through = new Redis(proxy.url);
  through.on('error', () => undefined);
});

afterEach(async () => {
  direct.disconnect();
  through.disconnect();
  await proxy.stop();
  await redis.stop();
});

test('messages are swallowed on a connection that stays open, until it is restored', async () => {
  const heard: string[] = [];
  through.on('message', (_, message) => heard.push(message));
  await through.subscribe('channel');
  proxy.dropMessages();
  expect(await direct.publish('channel', 'lost')).toBe(1);
  await direct.publish('channel', 'x'.repeat(300_000));
  await through.subscribe('another');
  proxy.restore();
  expect(proxy.droppedCount()).toBe(2);
  const next = once(through, 'message');
  await direct.publish('channel', 'kept');
  await next;
  expect(heard).toEqual(['kept']);
});

test('a cut closes existing connections and refuses new ones, until it is restored', async () => {
  await through.ping();
  // `once` of node:events would reject with the connection's error.
  const isClosed = () => new Promise<void>((resolve) => through.once('close', resolve));
  const closed = isClosed();
  proxy.cut();
  await closed;
  await isClosed();
  proxy.restore();
  expect(await through.ping()).toBe('PONG');
});

test('a slow connection keeps the order and takes its time', async () => {
  await through.ping();
  proxy.slow(50);
  const startedAt = performance.now();
  const replies = await Promise.all(Array.from({ length: 20 }, (_, n) => through.rpush('list', n)));
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(99);
  expect(replies).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
});

test('a SUBSCRIBE can be late', async () => {
  await through.ping();
  proxy.delaySubscribe(100);
  const startedAt = performance.now();
  await through.subscribe('channel');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(99);
});

test('an answer that comes in one chunk with the end of a swallowed message is not swallowed with it', async () => {
  const heard: string[] = [];
  through.on('message', (_, message) => heard.push(message));
  await through.subscribe('channel');
  proxy.dropMessages();
  const lost = Array.from({ length: 50 }, () => direct.publish('channel', 'x'.repeat(20_000)));
  const answered = Array.from({ length: 50 }, (_, n) => through.subscribe(`another-${n}`));
  await Promise.all([...lost, ...answered]);
  await through.unsubscribe();
  expect(heard).toEqual([]);
  expect(proxy.droppedCount()).toBe(50);
});

test('a connection is cut between a command and its reply', async () => {
  await through.set('count', 1);
  const isCut = proxy.cutAtReply(/^:2/);
  const lost = through.incr('count').catch((error: Error) => error);
  await isCut;
  expect(await direct.get('count')).toBe('2');
  proxy.restore();
  // The client does not know, and sends it again.
  expect(await lost).toBe(3);
});

test('a connection is cut before a command', async () => {
  await through.set('count', 1);
  const isCut = proxy.cutAtCommand('count');
  const late = through.incr('count');
  await isCut;
  expect(await direct.get('count')).toBe('1');
  proxy.restore();
  expect(await late).toBe(2);
});

test('a connection falls silent and still takes commands', async () => {
  await through.set('count', 1);
  const isSilent = proxy.silenceAtReply(/^:2/);
  void through.incr('count').catch(() => undefined);
  await isSilent;
  void through.incr('count').catch(() => undefined);
  await expect.poll(() => direct.get('count')).toBe('3');
  const other = new Redis(proxy.url);
  expect(await other.incr('count')).toBe(4);
  other.disconnect();
});
