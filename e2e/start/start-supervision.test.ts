/** What `npm start` keeps running: signals, and deaths of the launcher and of its processes. Real programs, the real model. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Launcher, listProcesses } from '@inferql/testing/launcher/launcher';
import {
  CATS,
  classifyCat,
  clone,
  listOurs,
  poll,
  setUpClone,
  shareStart,
  startReady,
} from '@inferql/testing/launcher/launcher-fixture';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';

const SETTINGS = {
  // Each answer is computed: Redis' data, and with them its cache, outlive the starts of this clone.
  INFERQL_SHARE: 'off',
  INFERQL_CACHE_TTL_MS: '0',
  // Three times fewer sessions than with two threads.
  INFERQL_ENGINE_THREADS: '1',
};

setUpClone({ built: true });

function findPid(launcher: Launcher, text: string): number | undefined {
  const [pid] = listProcesses(({ group, command }) => group === launcher.pid && command.includes(text)).keys();
  return pid;
}

describe('a system that runs', () => {
  const shared = shareStart(SETTINGS);

  test('its Redis listens on this machine only, writes before it answers, evicts nothing', async () => {
    const { redisUrl } = shared();
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

  test('a killed server is restarted on its port', async () => {
    const { launcher, url } = shared();
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

  test('a killed Redis is restarted with its data, and predictions continue', async () => {
    const { launcher, url, redisPort, redisUrl } = shared();
    await withRedis(redisUrl, (redis) => redis.set('kept', 'yes'));
    const [pid] = listProcesses(({ command }) => command.endsWith(`127.0.0.1:${redisPort}`)).keys();
    process.kill(pid!, 'SIGKILL');
    await launcher.printed(/Redis ended unexpectedly/);
    await expect.poll(() => classifyCat(url).catch(() => -1), poll).toSatisfy((index: number) => CATS.includes(index));
    expect(await withRedis(redisUrl, (redis) => redis.get('kept'))).toBe('yes');
  });

  test('Ctrl-C lets accepted work finish, exits with 0 and leaves no process; repeated and later signals do no harm', async () => {
    const { launcher, url } = shared();
    // The engine is stopped until all are accepted and the signal has arrived.
    const engine = findPid(launcher, 'engine-process-main')!;
    process.kill(engine, 'SIGSTOP');
    const answers = Promise.all(Array.from({ length: 4 }, () => classifyCat(url)));
    await expect.poll(() => fetchQueueLength(url), poll).toBe(4);
    launcher.signalGroup('SIGINT');
    launcher.process.kill('SIGINT');
    process.kill(engine, 'SIGCONT');
    for (const index of await answers) expect(CATS).toContain(index);
    setTimeout(() => launcher.process.exitCode === null && launcher.signalGroup('SIGINT'), 1_100);
    expect(await launcher.exited()).toBe(0);
    // An engine notices its worker's end slightly later than the launcher does.
    await expect.poll(listOurs, poll).toEqual([]);
  });
});

describe('a system whose output nobody reads', () => {
  const shared = shareStart(SETTINGS);

  test('it continues to serve', async () => {
    const { launcher, url } = shared();
    launcher.process.stdout!.destroy();
    launcher.process.stderr!.destroy();
    process.kill(findPid(launcher, 'worker/main')!, 'SIGKILL');
    await expect.poll(() => classifyCat(url), poll).toSatisfy((index: number) => CATS.includes(index));
    expect(launcher.process.exitCode).toBeNull();
  });

  test('if the terminal closes, it stops in the same way', async () => {
    const { launcher } = shared();
    launcher.signalGroup('SIGHUP');
    expect(await launcher.exited()).toBe(0);
    // An engine notices its worker's end slightly later than the launcher does.
    await expect.poll(listOurs, poll).toEqual([]);
  });
});

describe('a system with two workers', () => {
  const shared = shareStart({ ...SETTINGS, INFERQL_WORKERS: '2' });

  test('each worker is one process named worker/main; a killed one is restarted in the same group and serves', async () => {
    const { launcher, url } = shared();
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

  test('if the launcher is killed, everything that it started exits', async () => {
    const { launcher } = shared();
    process.kill(launcher.pid, 'SIGKILL');
    await launcher.exited();
    await expect.poll(listOurs, poll).toEqual([]);
  });
});

test('if launcher and guard are killed, the next start ends the Redis that they left and continues with its data', async () => {
  // Its worker cannot deregister, since its Redis is gone, and would try that for long.
  const { launcher, redisUrl } = await startReady({ ...SETTINGS, INFERQL_DRAIN_LIMIT_MS: '2000' });
  await withRedis(redisUrl, (redis) => redis.set('kept', 'yes'));
  const guards = listProcesses(({ command }) => command.endsWith(`${clone.dir}/.inferql/redis/guard.sh`));
  for (const pid of [...guards.keys(), launcher.pid]) process.kill(pid, 'SIGKILL');
  const next = await startReady(SETTINGS);
  expect(await withRedis(next.redisUrl, (redis) => redis.get('kept'))).toBe('yes');
  await expect(withRedis(redisUrl, (redis) => redis.ping())).rejects.toThrow();
});

test('unreadable Redis data are set aside, not deleted, and the start continues', async () => {
  const dataDir = join(clone.dir, '.inferql/redis');
  const log = readdirSync(join(dataDir, 'appendonlydir')).find((name) => name.endsWith('.incr.aof'))!;
  writeFileSync(
    join(dataDir, 'appendonlydir', log),
    '*3\r\nnonsense\r\n$1\r\nx\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n',
  );
  const { launcher } = await startReady(SETTINGS);
  expect(launcher.output()).toContain('the old files are in');
  const [aside] = readdirSync(dataDir).filter((name) => name.startsWith('damaged-'));
  expect(existsSync(join(dataDir, aside!, 'appendonlydir', log))).toBe(true);
});

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
