/** A repository with links, devices, and folders that go away while their models are served. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { removeFolder } from '@inferql/testing/folders';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis-server';
import { writeTinyModel } from '@inferql/testing/tiny-model';
import { afterEach, beforeEach, expect, test } from 'vitest';

let server: TestRedis;
let queue: QueueHarness;
let folder: string;
let modelsDir: string;
let worker: ChildProcess;
let log = '';

beforeEach(async () => {
  [server, folder] = await Promise.all([startTestRedis(), mkdtemp(join(tmpdir(), 'inferql-odd-'))]);
  modelsDir = join(folder, 'models');
  await mkdir(modelsDir);
  queue = createQueueHarness(server.url);
});
afterEach(async () => {
  const exited = worker.exitCode ?? worker.signalCode ?? once(worker, 'exit');
  worker.kill('SIGKILL');
  await exited;
  await queue.close();
  await Promise.all([server.stop(), removeFolder(folder)]);
});

async function launch(): Promise<void> {
  worker = fork(join(await buildSystem(), 'worker/main.js'), [], {
    execArgv: [],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      REDIS_URL: server.url,
      INFERQL_PREFIX: queue.prefix,
      INFERQL_MODELS_DIR: modelsDir,
      INFERQL_STATE_DIR: join(folder, 'state'),
      INFERQL_ENGINE_THREADS: '1',
    },
  });
  worker.stdout!.on('data', (chunk) => {
    log += chunk;
  });
  await Promise.race([once(worker, 'message'), once(worker, 'close')]);
  if (!worker.connected) throw new Error(log);
}

/** Resolves once exactly these models are offered, and each answers. */
async function serves(...names: string[]): Promise<void> {
  const offered = async () => (await queue.registry.models()).map(({ name }) => name).sort();
  await expect.poll(offered, { timeout: 40_000 }).toEqual(names);
  for (const name of names) {
    const end = await queue.end(await queue.submit(await queue.model(name), new Uint8Array(6 * 5 * 3)));
    expect(end.status).toBe('SUCCEEDED');
  }
}

test('odd files and links in the repository affect only their model, and are named', async () => {
  await writeTinyModel(modelsDir, 'good');
  // As Kubernetes mounts volumes.
  await writeTinyModel(join(folder, 'elsewhere'), 'linked');
  await symlink(join('..', 'elsewhere', 'linked'), join(modelsDir, 'linked'));
  await symlink('loop', join(modelsDir, 'loop'));
  await symlink('..', join(modelsDir, 'up'));
  await symlink('nowhere', join(modelsDir, 'dangling'));
  for (const name of ['device', 'huge', 'circle']) await writeTinyModel(modelsDir, name);
  for (const name of ['device', 'circle']) await rm(join(modelsDir, name, 'labels.json'));
  await symlink('/dev/zero', join(modelsDir, 'device', 'labels.json'));
  await symlink('labels.json', join(modelsDir, 'circle', 'labels.json'));
  await truncate(join(modelsDir, 'huge', 'labels.json'), 8 * 2 ** 30);
  await launch();
  await serves('good', 'linked');
  // The log and the answers come on different ways.
  const logged = () => log;
  await expect.poll(logged).toContain('device/labels.json is not a file');
  await expect.poll(logged).toMatch(/circle\/labels\.json is missing or cannot be read/);
  await expect.poll(logged).toMatch(/labels labels\.json have 8589934592 bytes/);

  // What a link leads to goes away, and another one takes its place.
  await rename(join(folder, 'elsewhere'), join(folder, 'away'));
  worker.kill('SIGHUP');
  await serves('good');
  await rename(join(folder, 'away'), join(folder, 'elsewhere'));
  worker.kill('SIGHUP');
  await serves('good', 'linked');
});

test('a model whose folder becomes a file, and a repository that is removed and comes back', async () => {
  await writeTinyModel(modelsDir, 'first');
  await writeTinyModel(modelsDir, 'second');
  await launch();
  await serves('first', 'second');
  await rm(join(modelsDir, 'first'), { recursive: true });
  await writeFile(join(modelsDir, 'first'), 'not a folder');
  await serves('second');
  await rm(modelsDir, { recursive: true });
  await expect.poll(async () => (await queue.registry.models()).length, { timeout: 40_000 }).toBe(0);
  await writeTinyModel(modelsDir, 'third');
  await serves('third');
  expect(worker.exitCode).toBeNull();
});
