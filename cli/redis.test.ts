import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { callRedis } from '@inferql/queue/redis/errors';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { EXIT } from './exit-codes.ts';
import { addRedisOptions, withRedis } from './redis.ts';

let server: TestRedis;
let admin: RedisConnection;
const { signal } = new AbortController();

beforeAll(async () => {
  server = await startTestRedis();
  admin = connectRedis(server.url, 'work');
  await admin.call('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '-@all', '+info', '+get', '+hello', '+client');
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

/** Writes a key as a command does. @returns how it fails */
async function fail(url: string): Promise<unknown> {
  const work = async (redis: RedisConnection) => {
    await callRedis(() => redis.set('key', 'value'));
  };
  return withRedis({ redis: url, prefix: 'p' }, { env: {}, signal }, work).catch((error: unknown) => error);
}

const withUser = (user: string) => server.url.replace('//', `//${user}@`);
const place = () => new URL(server.url).host;

test.each([
  ['may not write', 'reader:secret', 'NOPERM'],
  ['has another password', 'reader:other-secret', 'WRONGPASS'],
] as const)('a user who %s gets a message and exit code 2', async (_, user, code) => {
  const failure = await fail(withUser(user));
  expect(failure).toMatchObject({
    exitCode: EXIT.usage,
    message: expect.stringMatching(new RegExp(`^Redis at ${place()} refused access: ${code} .*\\n\\nPass the URL`)),
  });
  expect((failure as Error).message).not.toContain('secret');
});

test('a Redis that requires a password says so', async () => {
  await admin.config('SET', 'requirepass', 'secret');
  expect(await fail(server.url)).toMatchObject({
    exitCode: EXIT.usage,
    message: expect.stringContaining('refused access: NOAUTH '),
  });
  await admin.config('SET', 'requirepass', '');
});

test('a full Redis, and a database that does not exist, are not reported as silence', async () => {
  await admin.config('SET', 'maxmemory', '1');
  const full = await fail(server.url);
  await admin.config('SET', 'maxmemory', '0');
  expect(full).toMatchObject({
    exitCode: EXIT.unreachable,
    message: expect.stringMatching(new RegExp(`^Redis at ${place()} refused: OOM `)),
  });
  expect(await fail(`${server.url}/99`)).toMatchObject({
    exitCode: EXIT.unreachable,
    message: expect.stringMatching(/refused: ERR DB index is out of range/),
  });
  expect(await admin.exists('key')).toBe(0);
});

test('without a Redis, the failure of the connection is shown, without a password', async () => {
  expect(await fail('redis://:secret@127.0.0.1:1')).toMatchObject({
    exitCode: EXIT.unreachable,
    message: 'Redis does not respond at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1.',
  });
});

test.each([
  [{ redis: 'nowhere' }, {}, /^--redis is not an address/],
  [{}, { REDIS_URL: 'nowhere' }, /^REDIS_URL is not an address/],
])('a URL that is not one is named as it was given: %o %o', async (flags, env, message) => {
  const { signal } = new AbortController();
  const running = withRedis({ ...flags, prefix: 'p' }, { env, signal }, async () => {});
  await expect(running).rejects.toMatchObject({ exitCode: EXIT.usage, message: expect.stringMatching(message) });
});

test('an interruption ends the wait for a connection', async () => {
  const reason = new Error('interrupted');
  const work = vi.fn();
  const flags = { redis: 'redis://127.0.0.1:1', prefix: 'p' };
  const interrupt = new AbortController();
  const running = withRedis(flags, { env: {}, signal: interrupt.signal }, work);
  interrupt.abort(reason);
  await expect(running).rejects.toBe(reason);
  expect(work).not.toHaveBeenCalled();
});

test.each([
  ['shop', 'shop'],
  ['', 'inferql'],
])("INFERQL_PREFIX='%s' means the prefix '%s'", (value, prefix) => {
  vi.stubEnv('INFERQL_PREFIX', value);
  expect(addRedisOptions(new Command()).parse([], { from: 'user' }).opts()).toEqual({ prefix });
});
