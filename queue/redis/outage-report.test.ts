import { EventEmitter, once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ConnectionRole, connectRedis } from './connection.ts';
import { findCure } from './outage-cures.ts';
import { logConsole, reportConnections } from './outage-report.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Line {
  level: string;
  message: string;
  reason?: string;
  cure?: string;
}

/** Connections, by default as a server has, and what was logged about them. */
function watch(url: string, roles: ConnectionRole[] = ['request', 'subscriber']) {
  const lines: Line[] = [];
  const note = (level: string) => (fields: object, message: string) => lines.push({ level, message, ...fields });
  const connections = roles.map((role) => connectRedis(url, role));
  for (const connection of connections) closers.push(() => connection.disconnect());
  let errors = 0;
  for (const connection of connections) connection.on('error', () => errors++);
  reportConnections(connections, url, { warn: note('warn'), info: note('info'), debug: () => undefined });
  return {
    connections,
    shown: () => lines,
    /** Resolves when the connections have failed this many times. */
    failed: (times: number) => expect.poll(() => errors, { timeout: 20_000 }).toBeGreaterThanOrEqual(times),
  };
}

describe('a Redis that refuses is reported in one line with its message and the cure', () => {
  test('that wants a password', async () => {
    const redis = await startTestRedis({ args: ['--requirepass', 's3cret'] });
    closers.push(() => redis.stop());
    const { failed, shown } = watch(redis.url);
    await failed(6);
    expect(shown()).toEqual([
      expect.objectContaining({
        level: 'warn',
        reason: expect.stringContaining('NOAUTH'),
        cure: expect.stringContaining('REDIS_URL'),
      }),
    ]);
  });

  test('that was given a wrong one, which is not shown', async () => {
    const redis = await startTestRedis({ args: ['--requirepass', 's3cret'] });
    closers.push(() => redis.stop());
    const { failed, shown } = watch(redis.url.replace('//', '//:wr0ng@'));
    await failed(6);
    expect(shown()).toHaveLength(1);
    expect(shown()[0]!.reason).toContain('WRONGPASS');
    expect(JSON.stringify(shown())).not.toMatch(/wr0ng|s3cret/);
  });

  test('that closes the connection at once, as in protected mode', async () => {
    const words = 'DENIED Redis is running in protected mode because protected mode is enabled';
    const server = createServer((socket) => socket.on('error', () => undefined).end(`-${words}\r\n`)).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    closers.push(() => server.close());
    const { shown } = watch(`redis://127.0.0.1:${(server.address() as { port: number }).port}`);
    await expect.poll(() => shown().length).toBe(1);
    expect(shown()[0]).toMatchObject({
      reason: expect.stringContaining('DENIED'),
      cure: expect.stringContaining('password'),
    });
  });

  test('that is not there, and later is', async () => {
    const redis = await startTestRedis();
    closers.push(() => redis.stop());
    await redis.kill9();
    const { failed, shown } = watch(redis.url);
    await failed(6);
    expect(shown()).toHaveLength(1);
    expect(shown()[0]).toMatchObject({
      reason: expect.stringContaining('ECONNREFUSED'),
      cure: expect.stringContaining('Start Redis'),
    });
    await redis.restart();
    await expect.poll(() => shown().length).toBe(2);
    expect(shown()[1]).toMatchObject({ level: 'info', message: 'Redis available again' });
  });
});

test('a Redis that is read-only is reported once, until it accepts what was sent', async () => {
  const redis = await startTestRedis();
  closers.push(() => redis.stop());
  const admin = connectRedis(redis.url, 'work') as Redis;
  closers.push(() => admin.disconnect());
  await admin.replicaof('127.0.0.1', 1);
  const { connections, shown } = watch(redis.url, ['work']);
  let refusals = 0;
  connections[0]!.on('refused', () => refusals++);
  const written = connections[0]!.set('key', 'value');
  await expect.poll(() => refusals, { timeout: 20_000 }).toBeGreaterThan(5);
  expect(shown()).toEqual([
    expect.objectContaining({
      level: 'warn',
      reason: expect.stringContaining('READONLY'),
      cure: expect.stringContaining('replica'),
    }),
  ]);
  await admin.replicaof('NO', 'ONE');
  expect(await written).toBe('OK');
  await expect.poll(() => shown().length, { timeout: 20_000 }).toBe(2);
  expect(shown()[1]).toMatchObject({ level: 'info', message: 'Redis available again' });
});

test('a Redis that was read-only and then cannot be reached is not reported as available before a connection is', async () => {
  vi.useFakeTimers();
  closers.push(() => vi.useRealTimers());
  const messages: string[] = [];
  const note = (_fields: object, message: string) => void messages.push(message);
  const connection = new EventEmitter();
  reportConnections([connection], 'redis://127.0.0.1:1', { warn: note, info: note, debug: () => undefined });
  connection.emit('refused', new Error("READONLY You can't write against a read only replica."));
  connection.emit('close');
  connection.emit('error', new Error('connect ECONNREFUSED 127.0.0.1:1'));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(messages).toEqual(['Redis unavailable; retrying']);
  connection.emit('ready');
  expect(messages).toEqual(['Redis unavailable; retrying', 'Redis available again']);
});

test('an outage that is over before its reason is known is not reported', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  closers.push(() => silent.close());
  const messages: string[] = [];
  const note = (_fields: object, message: string) => void messages.push(message);
  const connection = new EventEmitter();
  const { port } = silent.address() as { port: number };
  reportConnections([connection], `redis://127.0.0.1:${port}`, { warn: note, info: note, debug: () => undefined });
  const asked = once(silent, 'connection');
  connection.emit('error', new Error('read ECONNRESET'));
  const [socket] = (await asked) as [Socket];
  connection.emit('ready');
  socket.end('-ERR some reason\r\n');
  await once(socket.resume(), 'close');
  expect(messages).toEqual(['Redis available again']);
});

test('a lasting outage is reported again after a minute, then after twice as long each time, up to an hour', async () => {
  vi.useFakeTimers();
  closers.push(() => vi.useRealTimers());
  const startMs = Date.now();
  let minutes: number[] = [];
  const connection = new EventEmitter();
  const ignore = () => undefined;
  const warn = () => minutes.push((Date.now() - startMs) / 60_000);
  reportConnections([connection], 'redis://127.0.0.1:1', { warn, info: ignore, debug: ignore });
  const fail = () => connection.emit('error', new Error('connect ECONNREFUSED 127.0.0.1:1'));
  fail();
  await vi.advanceTimersByTimeAsync(200 * 60_000);
  expect(minutes).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183]);
  connection.emit('ready');
  await vi.advanceTimersByTimeAsync(200 * 60_000);
  minutes = [];
  fail();
  await vi.advanceTimersByTimeAsync(90_000);
  expect(minutes).toEqual([400, 401]);
});

const NO_SENTINEL = 'All sentinels are unreachable. Retrying from scratch after 100ms.';

test.each([
  ["NOPERM User iq has no permissions to run the 'info' command", 'permissions'],
  ['getaddrinfo ENOTFOUND redis.invalid', 'resolved'],
  ['self-signed certificate', 'NODE_EXTRA_CA_CERTS'],
  ['tls: wrong version number of SSL', 'rediss://'],
  ['connect EACCES /run/redis/redis.sock', 'unixsocketperm'],
  [
    `${NO_SENTINEL} Last error: NOAUTH HELLO must be called with the client already authenticated`,
    '?sentinelPassword=PASSWORD',
  ],
  [`${NO_SENTINEL} Last error: ERR No such master with that name`, 'name of the master'],
  [`${NO_SENTINEL} Last error: connect ECONNREFUSED 127.0.0.1:26379`, 'Start'],
  [`${NO_SENTINEL} Last error: self-signed certificate`, 'rediss://'],
  [NO_SENTINEL, 'Start the Sentinels'],
])('%s has a cure', (reason, word) => expect(findCure(reason)).toContain(word));

test('what a library writes to the console appears once, through the log', () => {
  const lines: object[] = [];
  const target = { warn: (_text: string) => undefined, error: (_text: string) => undefined } as unknown as Console;
  const log = { warn: (fields: object) => lines.push(fields), info: () => undefined, debug: () => undefined };
  logConsole(log, target);
  for (let i = 0; i < 5; i++) target.warn('Skipping the ready check');
  target.error('other');
  expect(lines).toEqual([{ text: 'Skipping the ready check' }, { text: 'other' }]);
  for (let i = 0; i < 200; i++) target.warn(`text ${i}`);
  expect(lines).toHaveLength(100);
});
