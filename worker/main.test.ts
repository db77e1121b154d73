/** The worker as a process: its settings, its signals, and what it leaves behind. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { until } from '@inferql/testing/until';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

let buildDir: string;
let server: TestRedis;
let queue: QueueHarness;
let workers: ChildProcess[] = [];

beforeAll(async () => {
  [buildDir, server] = await Promise.all([buildSystem(), startTestRedis()]);
});
afterAll(() => server?.stop());
beforeEach(() => {
  queue = createQueueHarness(server.url);
});
afterEach(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  workers = [];
  await queue.close();
});

function launch(models: unknown, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const worker = fork(bundledProgram(buildDir, 'worker/main'), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: {
      PATH: process.env.PATH,
      REDIS_URL: server.url,
      INFERQL_PREFIX: queue.prefix,
      INFERQL_SCRIPTED_MODELS: JSON.stringify(models),
      ...env,
    },
  });
  workers.push(worker);
  return worker;
}

const scripted = (script: object = {}) => ({ name: 'scripted', input: { width: 2, height: 2 }, script });
const imageOf = (first: number) => Uint8Array.from([first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** Process ids of the children of a process. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      try {
        return Number(readFileSync(`/proc/${candidate}/stat`, 'utf8').split(') ')[1]!.split(' ')[1]) === pid;
      } catch {
        return false;
      }
    });
}

/** Resolves once the process is gone; a zombie that its parent has not reaped counts as gone. */
async function whenGone(pid: number): Promise<void> {
  const isGone = () => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.startsWith('Z');
    } catch {
      return true;
    }
  };
  await until(isGone, Boolean);
}

/** Resolves once a process has started another one. */
async function whenParent(pid: number): Promise<void> {
  await until(
    () => childrenOf(pid),
    (children) => children.length > 0,
  );
}

test('a warm worker notifies its supervisor, and SIGTERM, however often, drains it to exit code 0', async () => {
  const worker = launch([scripted({ waitMs: 300 })]);
  const [ready] = await once(worker, 'message');
  expect(ready).toEqual({ type: 'ready', models: ['scripted'] });
  const model = await queue.model('scripted');
  const id = await queue.submit(model, imageOf(5));
  await queue.when(id, ({ status }) => status === 'PROCESSING');
  const exit = once(worker, 'exit');
  worker.kill('SIGINT');
  worker.kill('SIGTERM');
  worker.kill('SIGTERM');
  worker.kill('SIGINT');
  expect(await exit).toEqual([0, null]);
  expect((await queue.end(id)).status).toBe('SUCCEEDED');
});

test('Ctrl-C alone does not stop a supervised worker, the end of its supervisor does', async () => {
  const worker = launch([scripted()]);
  await once(worker, 'message');
  worker.kill('SIGINT');
  const model = await queue.model('scripted');
  expect((await queue.end(await queue.submit(model, imageOf(5)))).status).toBe('SUCCEEDED');
  const exit = once(worker, 'exit');
  worker.disconnect();
  expect(await exit).toEqual([0, null]);
});

test('SIGHUP while it starts does not end it', async () => {
  const worker = launch([scripted()]);
  const ready = Promise.race([once(worker, 'message'), once(worker, 'exit')]);
  // Its engine is the last thing that it waits for.
  await whenParent(worker.pid!);
  worker.kill('SIGHUP');
  expect((await ready)[0]).toEqual({ type: 'ready', models: ['scripted'] });
});

test('SIGTERM while it loads a model or warms it up ends it at once', async () => {
  const worker = launch([scripted({ waitMs: 50_000 })]);
  await whenParent(worker.pid!);
  const exit = once(worker, 'exit');
  worker.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});

test('an engine that hangs does not outlive a killed worker', async () => {
  const worker = launch([scripted({ hangOn: [9] })]);
  await once(worker, 'message');
  const [enginePid] = childrenOf(worker.pid!);
  const model = await queue.model('scripted');
  const id = await queue.submit(model, imageOf(9));
  await queue.when(id, ({ status }) => status === 'PROCESSING');
  worker.kill('SIGKILL');
  await whenGone(enginePid!);
});

test('a worker that was stopped beyond its time limit and continues does not treat its engine as hanging', async () => {
  const worker = launch([scripted({ waitMs: 300 })], { INFERQL_ENGINE_TIME_LIMIT_MS: '2000' });
  await once(worker, 'message');
  const engines = childrenOf(worker.pid!);
  const model = await queue.model('scripted');
  const id = await queue.submit(model, imageOf(9));
  await queue.when(id, ({ status }) => status === 'PROCESSING');
  worker.kill('SIGSTOP');
  // The stop is what is tested: longer than the limit and than the threshold for a late timer.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  worker.kill('SIGCONT');
  expect(await queue.end(id)).toMatchObject({ status: 'SUCCEEDED', attempts: 1 });
  expect(childrenOf(worker.pid!)).toEqual(engines);
});

test('a worker whose memory exceeds its limit finishes what it holds and exits for a restart', async () => {
  const worker = launch([scripted({ leakBytes: 100 * 1024 * 1024 })], { INFERQL_MAX_RSS_MB: '600' });
  await once(worker, 'message');
  const exit = once(worker, 'exit');
  const model = await queue.model('scripted');
  const ids: string[] = [];
  // One by one: each run leaks.
  while (worker.exitCode === null && ids.length < 40) {
    const id = await queue.submit(model, imageOf(5));
    ids.push(id);
    await Promise.race([queue.end(id), exit]);
  }
  expect(await exit).toEqual([75, null]);
  const states = (await queue.producer.readMany(ids)).map((snapshot) => snapshot!.state.status);
  expect(new Set(states.slice(0, -1))).toEqual(new Set(['SUCCEEDED']));
  expect(ids.length).toBeLessThan(10);
});

test('wrong settings are named, each one, and the exit code is 1', async () => {
  const worker = launch([{ name: 'Not A Name' }], { INFERQL_ENGINE_THREADS: 'many' });
  let printed = '';
  worker.stderr!.on('data', (chunk) => {
    printed += chunk;
  });
  const [code] = await once(worker, 'close');
  expect(code).toBe(1);
  expect(printed).toContain("INFERQL_ENGINE_THREADS is 'many': expected a whole number");
  expect(printed).toContain('INFERQL_SCRIPTED_MODELS');
});

test('a model that cannot be loaded does not affect the others; if there are no others, the worker exits with exit code 1', async () => {
  const broken = { ...scripted({ failToLoad: true }), name: 'broken' };
  const worker = launch([broken, scripted()]);
  const [ready] = await once(worker, 'message');
  expect(ready).toEqual({ type: 'ready', models: ['scripted'] });
  const lost = launch([broken]);
  expect(await once(lost, 'exit')).toEqual([1, null]);
});
