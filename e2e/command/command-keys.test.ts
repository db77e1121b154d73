/** `inferql keys`, as processes, with a server that requires keys. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dir, jsonLines, run, system, writePicture } from '@inferql/testing/system/cli-fixture';
import { send } from '@inferql/testing/system/graphql-client';
import { scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test } from 'vitest';

let guarded: TestSystem;

beforeAll(async () => {
  guarded = await startSystem({ models: [scriptedModel()], env: { INFERQL_AUTH: 'keys' } });
});
afterAll(() => guarded?.end());

/** Runs the command as in the folder of a clone whose system is running. */
async function keys(...args: string[]) {
  await mkdir(join(dir, 'state/redis'), { recursive: true });
  await writeFile(join(dir, 'state/redis/port'), `${new URL(guarded.redis.url).port}\n`);
  return run(['keys', ...args], { env: { INFERQL_STATE_DIR: join(dir, 'state'), INFERQL_URL: guarded.url } });
}

test('a key is made, used, listed, rotated and revoked', async () => {
  const made = await keys('create', '--tenant', 'alice', '--scopes', 'infer,read', '--json');
  expect(made.code, made.err).toBe(0);
  const key = JSON.parse(made.out) as { id: string; key: string; tenant: string; scopes: string[] };
  expect(key).toMatchObject({ tenant: 'alice', scopes: ['infer', 'read'], models: null, expiresAt: null });
  expect(key.key).toMatch(/^iql_live_/);
  const ask = async (text: string) => {
    const operation = { query: '{ viewer { tenant key } }' };
    return send<{ viewer: { tenant: string; key: string } }>(guarded.url, operation, undefined, {
      authorization: `Bearer ${text}`,
    });
  };
  expect((await ask(key.key)).data).toEqual({ viewer: { tenant: 'alice', key: key.id } });

  const rotated = JSON.parse((await keys('rotate', key.id, '--grace', '1h', '--json')).out);
  expect(rotated).toMatchObject({ tenant: 'alice', replaces: key.id });
  expect([(await ask(key.key)).httpStatus, (await ask(rotated.key)).httpStatus]).toEqual([200, 200]);

  const listed = jsonLines((await keys('list', '--json')).out);
  expect(listed.map(({ id, status }) => [id, status])).toEqual([
    [key.id, 'valid'],
    [rotated.id, 'valid'],
  ]);
  const revoked = await keys('revoke', key.id);
  expect([revoked.code, revoked.out]).toEqual([0, `${key.id} revoked\n`]);
  expect((await ask(key.key)).httpStatus).toBe(401);
  expect(JSON.parse((await keys('show', key.id, '--json')).out)).toMatchObject({ id: key.id, status: 'revoked' });

  // Only the creation shows the text.
  for (const args of [['list'], ['list', '--json'], ['show', rotated.id]]) {
    expect((await keys(...args)).out).not.toContain(rotated.key.slice(18, 40));
  }
});

test('the other commands send the key of INFERQL_KEY or --key, and say what to do if there is none', async () => {
  const label = await writePicture('a.png');
  const { key } = JSON.parse((await keys('create', '-t', 'bob', '--json')).out) as { key: string };
  const url = ['--url', guarded.url];
  const without = await run(['classify', 'a.png', ...url]);
  expect([without.code, without.err]).toEqual([2, expect.stringContaining('INFERQL_KEY')]);
  for (const [args, env] of [
    [['classify', 'a.png', ...url], { INFERQL_KEY: key }],
    [['classify', 'a.png', ...url, '--key', key], {}],
  ] as [string[], Record<string, string>][]) {
    const classified = await run(args, { env });
    expect(classified.code, classified.err).toBe(0);
    expect(classified.out).toContain(label);
  }
  const queue = await run(['queue', ...url], { env: { INFERQL_KEY: key } });
  expect([queue.code, queue.out.includes('dead letters')]).toEqual([0, false]);
});

test('a tenant gets limits and a weight, which apply to every request at once', async () => {
  const { key } = JSON.parse((await keys('create', '-t', 'carol', '--json')).out) as { key: string };
  const tenants = async (...args: string[]) =>
    run(['tenants', ...args], { env: { INFERQL_STATE_DIR: join(dir, 'state'), INFERQL_URL: guarded.url } });
  const limits = async () => {
    const { data } = await send<{ viewer: { limits: { limit: number }[] } }>(
      guarded.url,
      { query: '{ viewer { limits { limit } } }' },
      undefined,
      { authorization: `Bearer ${key}` },
    );
    return data!.viewer.limits.map(({ limit }) => limit);
  };
  expect(await limits()).toEqual([]);
  const set = await tenants('set', 'carol', '--limits', '7images/day', '--weight', '3', '--json');
  expect([set.code, JSON.parse(set.out)]).toEqual([0, { tenant: 'carol', limits: '7images/day', weight: 3 }]);
  await expect.poll(limits).toEqual([7]);
  expect((await tenants('list')).out).toMatch(/carol +7images\/day +3/);
  expect((await tenants('set', 'carol', '--limits', 'none')).out).toMatch(/carol +none +3/);
  await expect.poll(limits).toEqual([]);
  expect((await tenants('reset', 'carol')).out).toBe('carol reset\n');
  expect((await tenants('reset', 'carol')).code).toBe(1);
  for (const args of [
    ['set', 'carol'],
    ['set', 'carol', '--weight', '0'],
    ['set', 'carol', '--limits', 'lots'],
    ['set'],
  ]) {
    expect((await tenants(...args)).code, args.join(' ')).toBe(2);
  }
});

test('settings in .env of the current folder apply to every command, and the environment wins', async () => {
  await writeFile(join(dir, '.env'), `REDIS_URL=${guarded.redis.url}\nINFERQL_PREFIX=other\n`);
  const made = await run(['keys', 'create', '-t', 'dave']);
  expect(made.code, made.err).toBe(0);
  const tenants = async (env: Record<string, string>) =>
    jsonLines((await run(['keys', 'list', '--json'], { env })).out || '[]').map(({ tenant }) => tenant);
  expect(await tenants({})).toEqual(['dave']);
  expect(await tenants({ INFERQL_PREFIX: 'inferql' })).not.toContain('dave');
});

test('mistakes are named, with exit code 2; an unknown id with exit code 1', async () => {
  for (const args of [
    ['create'],
    ['create', '-t', 'two words'],
    ['create', '-t', 'a', '--scopes', 'root'],
    ['create', '-t', 'a', '--scopes', ','],
    ['create', '-t', 'a', '--models', 'No Model'],
    ['create', '-t', 'a', '--expires', 'soon'],
    ['create', '-t', 'a', '--weight', 'much'],
    ['create', '-t', 'a', '--env', 'PROD'],
    ['create', '-t', 'a', '--limits', '5photos/s'],
    ['revoke'],
  ]) {
    const { code, err } = await keys(...args);
    expect(code, args.join(' ')).toBe(2);
    expect(err).not.toBe('');
    expect(err).not.toContain('    at ');
  }
  expect((await keys('revoke', 'AAAAAAAA')).code).toBe(1);
  expect((await run(['keys', 'list', '--redis', 'redis://127.0.0.1:1'])).code).toBe(3);
  expect(system.url).not.toBe(guarded.url);
});
