/** `npm start` as a person meets it: its signals, its deaths, its second time. Real programs, the real model. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Clone, cloneProject } from './support/clone.ts';
import { findFreePort, type Launcher, listProcesses, startLauncher } from './support/launcher.ts';
import { startTestRedis } from './support/redis.ts';

const CATS = [281, 282, 285];
const poll = { timeout: 40_000, interval: 50 };
// An engine sees its worker's end a moment later than the launcher does.
const soon = { timeout: 2_000, interval: 20 };
const BUILD_TIMEOUT_MS = 300_000;

let clone: Clone;
let launchers: Launcher[] = [];
const groups = new Set<number>();
const redisPorts = new Set<number>();

beforeAll(() => {
  clone = cloneProject({ models: true });
});

afterEach(async () => {
  for (const launcher of launchers) launcher.process.kill('SIGTERM');
  await Promise.all(launchers.map((launcher) => launcher.exited()));
  launchers = [];
  await expect.poll(listOurs, poll).toEqual([]);
});

afterAll(() => clone.remove());

async function start(env: Record<string, string | undefined> = {}): Promise<Launcher> {
  const launcher = startLauncher(clone.dir, { PORT: String(await findFreePort()), ...env });
  launchers.push(launcher);
  groups.add(launcher.pid);
  return launcher;
}

async function startReady(env: Record<string, string | undefined> = {}) {
  const launcher = await start(env);
  const url = await launcher.ready();
  const record = JSON.parse(readFileSync(join(clone.dir, `.inferql/running-${launcher.pid}.json`), 'utf8'));
  const redisPort = Number(new URL(record.redisUrl).port);
  if (!env.REDIS_URL) redisPorts.add(redisPort);
  return { launcher, url, redisPort, redisUrl: record.redisUrl as string };
}

/** What is alive of everything that was started here: the groups, and guards and Redis in their sessions of their own. */
function listOurs(): string[] {
  const ours = listProcesses(
    ({ group, command }) =>
      groups.has(group) ||
      command.includes(`${clone.dir}/scripts/`) ||
      [...redisPorts].some((port) => command.endsWith(`127.0.0.1:${port}`)),
  );
  return [...ours.values()];
}

function findPid(launcher: Launcher, text: string): number | undefined {
  const [pid] = listProcesses(({ group, command }) => group === launcher.pid && command.includes(text)).keys();
  return pid;
}

/** The class that ResNet50 finds on a cat, through the whole system. */
async function classifyCat(url: string): Promise<number> {
  const form = new FormData();
  const query = `mutation ($image: Upload!) { classifyImage(image: $image, model: "resnet50") {
    ... on Prediction { result { labels(topK: 1) { index } } } ... on Error { code } } }`;
  form.set('operations', JSON.stringify({ query, variables: { image: null } }));
  form.set('map', '{"0":["variables.image"]}');
  form.set('0', new Blob([readFileSync('models/samples/chelsea.png')], { type: 'image/png' }), 'chelsea.png');
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    body: form,
    headers: { 'x-graphql-yoga-csrf': 'test' },
  });
  const answer = (await response.json()) as { data: { classifyImage: { result: { labels: { index: number }[] } } } };
  const index = answer.data?.classifyImage?.result?.labels[0]?.index;
  if (index === undefined) throw new Error(JSON.stringify(answer));
  return index;
}

test(
  'a clone that was never built starts, and its first answer is a prediction',
  async () => {
    const { launcher, url } = await startReady();
    expect(launcher.output()).toMatch(/✓ Building, [\d.]+ s/);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);

// How long it takes stands among the measurements (bench/scenarios/start.ts), where the machine is quiet.
test('a second start installs, builds, generates and pulls nothing', async () => {
  const logsDir = join(clone.dir, '.inferql/logs');
  const times = () => readdirSync(logsDir).map((name) => [name, statSync(join(logsDir, name)).mtimeMs]);
  const before = times();
  const { launcher } = await startReady();
  expect(launcher.output()).not.toMatch(/Installing|Generating|Building|pulling|converting/);
  launcher.signalGroup('SIGTERM');
  expect(await launcher.exited()).toBe(0);
  expect(times()).toEqual(before);
});

test('Ctrl-C lets what was accepted finish, ends with 0 and leaves no process; echoes and a later Ctrl-C do no harm', async () => {
  const { launcher, url } = await startReady({ SHARE: 'off', CACHE_TTL_MS: '0' });
  // The engine stands still until all are accepted and the signal is there.
  const engine = findPid(launcher, 'engines/child')!;
  process.kill(engine, 'SIGSTOP');
  const answers = Promise.all(Array.from({ length: 4 }, () => classifyCat(url)));
  await expect.poll(() => fetchQueueLength(url), poll).toBe(4);
  launcher.signalGroup('SIGINT');
  launcher.process.kill('SIGINT');
  process.kill(engine, 'SIGCONT');
  for (const index of await answers) expect(CATS).toContain(index);
  setTimeout(() => launcher.process.exitCode === null && launcher.signalGroup('SIGINT'), 1_100);
  expect(await launcher.exited()).toBe(0);
  await expect.poll(listOurs, soon).toEqual([]);
});

test('the terminal goes away: it stops in the same way', async () => {
  const { launcher } = await startReady();
  launcher.signalGroup('SIGHUP');
  expect(await launcher.exited()).toBe(0);
  await expect.poll(listOurs, soon).toEqual([]);
});

test('nobody reads its output any more: it serves on', async () => {
  const { launcher, url } = await startReady();
  launcher.process.stdout!.destroy();
  launcher.process.stderr!.destroy();
  process.kill(findPid(launcher, 'worker/main')!, 'SIGKILL');
  await expect.poll(() => classifyCat(url), poll).toSatisfy((index: number) => CATS.includes(index));
  expect(launcher.process.exitCode).toBeNull();
});

test('each worker is one process named worker/main; one that is killed comes back in the same group and serves', async () => {
  const { launcher, url } = await startReady({ WORKERS: '2', ENGINE_THREADS: '1' });
  const listWorkers = () => [
    ...listProcesses(({ group, command }) => group === launcher.pid && command.includes('worker/main')).keys(),
  ];
  await expect.poll(() => listWorkers().length, poll).toBe(2);
  const before = listWorkers();
  for (const pid of before) process.kill(pid, 'SIGKILL');
  expect(CATS).toContain(await classifyCat(url));
  await expect.poll(() => listWorkers().length, poll).toBe(2);
  expect(listWorkers().some((pid) => before.includes(pid))).toBe(false);
});

test('a server that is killed comes back on its port', async () => {
  const { launcher, url } = await startReady();
  process.kill(findPid(launcher, 'server/main')!, 'SIGKILL');
  await launcher.printed(/server ended \(SIGKILL\)/);
  const isUp = () =>
    fetch(`${url}/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
  await expect.poll(isUp, poll).toBe(true);
  expect(CATS).toContain(await classifyCat(url));
});

test('its Redis is killed: it comes back with its data and predictions go on', async () => {
  const { launcher, url, redisPort, redisUrl } = await startReady();
  await withRedis(redisUrl, (redis) => redis.set('kept', 'yes'));
  const [pid] = listProcesses(({ command }) => command.endsWith(`127.0.0.1:${redisPort}`)).keys();
  process.kill(pid!, 'SIGKILL');
  await launcher.printed(/Redis ended unexpectedly/);
  await expect.poll(() => classifyCat(url).catch(() => -1), poll).toSatisfy((index: number) => CATS.includes(index));
  expect(await withRedis(redisUrl, (redis) => redis.get('kept'))).toBe('yes');
});

test('its Redis listens to this machine only, writes before it answers, evicts nothing', async () => {
  const { redisUrl } = await startReady();
  const settings = await withRedis(redisUrl, async (redis) => {
    const pairs = await Promise.all(
      ['bind', 'appendonly', 'appendfsync', 'maxmemory-policy'].map(
        (name) => redis.config('GET', name) as Promise<string[]>,
      ),
    );
    return Object.fromEntries(pairs.map(([name, value]) => [name, value]));
  });
  expect(settings).toEqual({
    bind: '127.0.0.1',
    appendonly: 'yes',
    appendfsync: 'always',
    'maxmemory-policy': 'noeviction',
  });
});

test('the launcher is killed: everything that it started leaves by itself', async () => {
  const { launcher } = await startReady();
  process.kill(launcher.pid, 'SIGKILL');
  await launcher.exited();
  await expect.poll(listOurs, poll).toEqual([]);
});

test('launcher and guard are killed: the next start ends the Redis that they left and goes on with its data', async () => {
  const { launcher, redisUrl } = await startReady();
  await withRedis(redisUrl, (redis) => redis.set('kept', 'yes'));
  const guards = listProcesses(({ command }) => command.endsWith(`${clone.dir}/scripts/redis/guard.sh`));
  for (const pid of [...guards.keys(), launcher.pid]) process.kill(pid, 'SIGKILL');
  const next = await startReady();
  expect(await withRedis(next.redisUrl, (redis) => redis.get('kept'))).toBe('yes');
  await expect(withRedis(redisUrl, (redis) => redis.ping())).rejects.toThrow();
});

test('Redis data that cannot be read are set aside, not deleted, and the start goes on', async () => {
  const dataDir = join(clone.dir, '.inferql/redis');
  const log = readdirSync(join(dataDir, 'appendonlydir')).find((name) => name.endsWith('.incr.aof'))!;
  writeFileSync(
    join(dataDir, 'appendonlydir', log),
    '*3\r\nnonsense\r\n$1\r\nx\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n',
  );
  const { launcher } = await startReady();
  expect(launcher.output()).toContain('the old files are in');
  const [aside] = readdirSync(dataDir).filter((name) => name.startsWith('damaged-'));
  expect(existsSync(join(dataDir, aside!, 'appendonlydir', log))).toBe(true);
});

test('a taken port is told before anything else is done, with exit code 1', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const launcher = await start({ PORT: String(port) });
  expect(await launcher.exited()).toBe(1);
  expect(launcher.output()).toMatch(new RegExp(`Port ${port} .*is taken.*PORT=`));
  other.close();
});

test.each([
  [{ PORT: 'http' }, /PORT is 'http': expected a whole number/],
  [{ WORKERS: '-1' }, /WORKERS is '-1'/],
  [{ HOST: '203.0.113.7' }, /HOST is '203.0.113.7', which is no address of this machine/],
  [{ INFERQL_LOG: 'loud' }, /INFERQL_LOG is 'loud'/],
])('a wrong setting is named: %o', async (env, message) => {
  const launcher = await start(env);
  expect(await launcher.exited()).toBe(1);
  expect(launcher.output()).toMatch(message);
  expect(launcher.output()).not.toMatch(/\n\s+at /);
});

test('settings may stand in .env, and the environment beats it', async () => {
  const [filePort, ownPort] = [await findFreePort(), await findFreePort()];
  writeFileSync(join(clone.dir, '.env'), `PORT=${filePort}\nWORKERS=nonsense\n`);
  try {
    const refused = await start({ PORT: undefined });
    expect(await refused.exited()).toBe(1);
    expect(refused.output()).toContain("WORKERS is 'nonsense'");
    expect((await startReady({ PORT: undefined, WORKERS: '1' })).url).toContain(`:${filePort}`);
    expect((await startReady({ PORT: String(ownPort), WORKERS: '1' })).url).toContain(`:${ownPort}`);
  } finally {
    rmSync(join(clone.dir, '.env'));
  }
});

test('REDIS_URL: no Redis of its own is started; one that refuses or does not answer is told', async () => {
  const redis = await startTestRedis({ args: ['--requirepass', 'secret'] });
  const address = `127.0.0.1:${redis.port}`;
  try {
    const { launcher, url } = await startReady({ REDIS_URL: `redis://:secret@${address}` });
    expect(listProcesses(({ command }) => command.endsWith(`${clone.dir}/scripts/redis/guard.sh`)).size).toBe(0);
    expect(CATS).toContain(await classifyCat(url));
    launcher.signalGroup('SIGINT');
    expect(await launcher.exited()).toBe(0);
    expect(redis.pid).toBeGreaterThan(0);

    const refused = await start({ REDIS_URL: `redis://:wrong@${address}` });
    expect(await refused.exited()).toBe(1);
    expect(refused.output()).toMatch(/refuses the login of REDIS_URL/);
    expect(refused.output()).not.toContain('wrong@');
  } finally {
    await redis.stop();
  }
  const unanswered = await start({ REDIS_URL: `redis://${address}`, REDIS_WAIT_MS: '500' });
  expect(await unanswered.exited()).toBe(1);
  expect(unanswered.output()).toMatch(new RegExp(`Redis at ${address} \\(REDIS_URL\\) does not answer`));
});

test('no Redis and no way to get one: the three ways are named', async () => {
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
  'two starts at once set up one after the other and run side by side, each with a Redis of its own',
  async () => {
    rmSync(join(clone.dir, 'dist'), { recursive: true, force: true });
    const [one, other] = await Promise.all([startReady(), startReady()]);
    expect(one.redisUrl).not.toBe(other.redisUrl);
    expect(await Promise.all([classifyCat(one.url), classifyCat(other.url)])).toSatisfy((indexes: number[]) =>
      indexes.every((index) => CATS.includes(index)),
    );
  },
  BUILD_TIMEOUT_MS,
);

test(
  'a signal in the middle of building ends the compiler first, and leaves nobody behind',
  async () => {
    rmSync(join(clone.dir, 'dist'), { recursive: true, force: true });
    const launcher = await start();
    const listCompilers = () => [
      ...listProcesses(({ command }) => command.includes(`--outDir ${clone.dir}/.inferql/unfinished`)).values(),
    ];
    // The one that does the work finishes it before it heeds a signal.
    await expect.poll(listCompilers, { ...poll, interval: 10 }).toContainEqual(expect.stringMatching(/\/lib\/tsc -p/));
    launcher.process.kill('SIGTERM');
    expect(await launcher.exited()).toBe(143);
    expect(listCompilers()).toEqual([]);
  },
  BUILD_TIMEOUT_MS,
);

test(
  'it is killed in the middle of building: the next start builds again and runs',
  async () => {
    rmSync(join(clone.dir, 'dist'), { recursive: true, force: true });
    const launcher = await start();
    await expect
      .poll(() => readdirSync(join(clone.dir, '.inferql/unfinished')), { ...poll, interval: 1 })
      .toEqual([expect.stringMatching(/^dist-/)]);
    process.kill(launcher.pid, 'SIGKILL');
    await launcher.exited();
    expect(existsSync(join(clone.dir, 'dist'))).toBe(false);
    const { url } = await startReady();
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);

test(
  'it is killed in the middle of pulling the model: the next start pulls it whole and runs',
  async () => {
    const models = join(clone.dir, '.inferql/models');
    rmSync(models);
    const launcher = await start();
    await launcher.printed(/pulling resnet50: [1-9]\d*%/);
    process.kill(launcher.pid, 'SIGKILL');
    await launcher.exited();
    const { url } = await startReady();
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);

async function fetchQueueLength(url: string): Promise<number> {
  const query = '{ queue(model: "resnet50") { waiting processing } }';
  const headers = { 'content-type': 'application/json', 'x-graphql-yoga-csrf': 'test' };
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const { data } = (await response.json()) as { data: { queue: { waiting: number; processing: number } } };
  return data.queue.waiting + data.queue.processing;
}

async function withRedis<T>(url: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}
