/** `npm start` as a user meets it: the first start, the second one, settings. Real programs, the real model. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { findFreePort } from '@inferql/launcher/free-port';
import { listProcesses } from '@inferql/testing/launcher/launcher';
import {
  BUILD_TIMEOUT_MS,
  CATS,
  classifyCat,
  clone,
  listCompilers,
  removeBuiltCode,
  setUpClone,
  start,
  startReady,
  untilCompiling,
} from '@inferql/testing/launcher/launcher-fixture';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { expect, test } from 'vitest';

/** One session of the model instead of one per core, for tests of something else than the engine. */
const ONE_SESSION = { INFERQL_ENGINE_THREADS: '1' };

setUpClone({ built: false });

test(
  'two starts at once of a clone that was never built: one builds, both run, each with a separate Redis, and answer',
  async () => {
    const starts = await Promise.all([startReady(), startReady()]);
    const [one, other] = starts;
    expect(one.redisUrl).not.toBe(other.redisUrl);
    expect(starts.filter(({ launcher }) => /✓ Building, [\d.]+ s/.test(launcher.output()))).toHaveLength(1);
    for (const { url } of starts) expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    const indexes = await Promise.all(starts.map(({ url }) => classifyCat(url)));
    for (const index of indexes) expect(CATS).toContain(index);
  },
  BUILD_TIMEOUT_MS,
);

// How long it takes is measured on a quiet machine (bench/scenarios/start.ts).
test('a second start installs, builds, generates and pulls nothing', async () => {
  const logsDir = join(clone.dir, '.inferql/logs');
  const times = () => readdirSync(logsDir).map((name) => [name, statSync(join(logsDir, name)).mtimeMs]);
  const before = times();
  const { launcher } = await startReady(ONE_SESSION);
  expect(launcher.output()).not.toMatch(/Installing|Generating|Building|pulling|converting/);
  launcher.signalGroup('SIGTERM');
  expect(await launcher.exited()).toBe(0);
  expect(times()).toEqual(before);
});

/** A port that another program uses, until `close`. */
async function occupyPort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: (server.address() as { port: number }).port, close: () => server.close() };
}

test('a port in use is reported before anything else is done, with exit code 1', async () => {
  const taken = await occupyPort();
  const launcher = await start({ PORT: String(taken.port) });
  expect(await launcher.exited()).toBe(1);
  expect(launcher.output()).toMatch(new RegExp(`Port ${taken.port} .*is taken.*PORT=`));
  taken.close();
});

test.each([
  [{ PORT: 'http' }, /PORT is 'http': expected a whole number/],
  [{ INFERQL_WORKERS: '-1' }, /INFERQL_WORKERS is '-1'/],
  [{ HOST: '0.0.0.0' }, /INFERQL_AUTH is off/],
  [
    { HOST: '203.0.113.7', INFERQL_AUTH: 'off-and-public' },
    /HOST is '203.0.113.7', which is not an address of this machine/,
  ],
  [{ INFERQL_LOG: 'loud' }, /INFERQL_LOG is 'loud'/],
  [{ INFERQL_TENANT_LIMITS: 'lots' }, /INFERQL_TENANT_LIMITS is 'lots': expected limits/],
])('a wrong setting is named: %o', async (env, message) => {
  const launcher = await start(env);
  expect(await launcher.exited()).toBe(1);
  expect(launcher.output()).toMatch(message);
  expect(launcher.output()).not.toMatch(/\n\s+at /);
});

test('settings may be in .env, and the environment overrides it', async () => {
  const taken = await occupyPort();
  const filePort = await findFreePort();
  writeFileSync(join(clone.dir, '.env'), `PORT=${filePort}\nWORKERS=nonsense\n`);
  try {
    const refused = await start({ PORT: undefined });
    expect(await refused.exited()).toBe(1);
    expect(refused.output()).toContain('WORKERS is a former name of INFERQL_WORKERS');
    expect(refused.output()).toContain("WORKERS is 'nonsense': expected a whole number");
    expect((await startReady({ ...ONE_SESSION, PORT: undefined, INFERQL_WORKERS: '1' })).url).toContain(`:${filePort}`);
    const overridden = await start({ PORT: String(taken.port), INFERQL_WORKERS: '1' });
    expect(await overridden.exited()).toBe(1);
    expect(overridden.output()).toContain(`Port ${taken.port} `);
  } finally {
    rmSync(join(clone.dir, '.env'));
    taken.close();
  }
});

test('REDIS_URL: no private Redis is started; one that refuses or does not answer is reported', async () => {
  const redis = await startTestRedis({ args: ['--requirepass', 'secret'] });
  const address = `127.0.0.1:${redis.port}`;
  try {
    const { launcher, url } = await startReady({ ...ONE_SESSION, REDIS_URL: `redis://:secret@${address}` });
    expect(listProcesses(({ command }) => command.endsWith(`${clone.dir}/.inferql/redis/guard.sh`)).size).toBe(0);
    expect(CATS).toContain(await classifyCat(url));
    launcher.signalGroup('SIGINT');
    expect(await launcher.exited()).toBe(0);
    expect(redis.pid).toBeGreaterThan(0);

    const refused = await start({ REDIS_URL: `redis://:wrong@${address}` });
    expect(await refused.exited()).toBe(1);
    expect(refused.output()).toMatch(/refuses the login in REDIS_URL/);
    expect(refused.output()).not.toContain('wrong@');
  } finally {
    await redis.stop();
  }
  const unanswered = await start({ REDIS_URL: `redis://${address}`, INFERQL_REDIS_WAIT_MS: '500' });
  expect(await unanswered.exited()).toBe(1);
  expect(unanswered.output()).toMatch(new RegExp(`Redis at ${address} \\(REDIS_URL\\) does not respond`));
});

test('if there is no Redis and no way to get one, the three ways are named', async () => {
  const programs = join(clone.dir, 'programs');
  mkdirSync(programs);
  for (const name of ['sh', 'ps'])
    symlinkSync(execFileSync('which', [name], { encoding: 'utf8' }).trim(), join(programs, name));
  const launcher = await start({ PATH: programs, npm_execpath: undefined, INFERQL_REDIS_SERVER: undefined });
  expect(await launcher.exited()).toBe(1);
  for (const way of [/install redis-server or valkey-server/, /REDIS_URL=redis:/, /redis-memory-server/]) {
    expect(launcher.output()).toMatch(way);
  }
});

test(
  'a signal in the middle of building ends the compiler first, and leaves no process',
  async () => {
    removeBuiltCode();
    const launcher = await start();
    // It finishes its work before it reacts to a signal.
    await untilCompiling();
    launcher.process.kill('SIGTERM');
    expect(await launcher.exited()).toBe(143);
    expect(listCompilers()).toEqual([]);
  },
  BUILD_TIMEOUT_MS,
);

test(
  'if it is killed in the middle of building, the next start builds again and runs',
  async () => {
    removeBuiltCode();
    const launcher = await start();
    await untilCompiling();
    process.kill(launcher.pid, 'SIGKILL');
    await launcher.exited();
    expect(existsSync(join(clone.dir, 'dist/server'))).toBe(false);
    const { url } = await startReady(ONE_SESSION);
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);

test(
  'if it is killed in the middle of pulling the model, the next start pulls it completely and runs',
  async () => {
    const models = join(clone.dir, '.inferql/models');
    rmSync(models);
    const launcher = await start();
    await launcher.printed(/pulling resnet50: [1-9]\d*%/);
    process.kill(launcher.pid, 'SIGKILL');
    await launcher.exited();
    const { url } = await startReady(ONE_SESSION);
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);
