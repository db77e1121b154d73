/** Shared by tests of worker processes that serve a repository. Each test gets a Redis, a queue and an empty repository. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { afterEach, beforeAll, beforeEach } from 'vitest';

export interface RepositoryFixture {
  readonly redis: TestRedis;
  readonly queue: QueueHarness;
  /** What is removed after the test: the repository, and what a test puts next to it. */
  readonly folder: string;
  /** The repository, `models` in that folder. */
  readonly modelsDir: string;
  /** Starts a worker, which ends with the test. Resolves once it is warm. @throws with its log if it ends before */
  launch(env?: NodeJS.ProcessEnv): Promise<{ worker: ChildProcess; log: () => string }>;
}

export function setUpRepository(): RepositoryFixture {
  let buildDir: string;
  let redis: TestRedis;
  let queue: QueueHarness;
  let folder: string;
  let workers: ChildProcess[] = [];

  beforeAll(async () => {
    buildDir = await buildSystem();
  });
  beforeEach(async () => {
    [redis, folder] = await Promise.all([startTestRedis(), mkdtemp(join(tmpdir(), 'inferql-repository-'))]);
    await mkdir(join(folder, 'models'));
    queue = createQueueHarness(redis.url);
  });
  afterEach(async () => {
    const exits = workers.map((worker) => worker.exitCode ?? worker.signalCode ?? once(worker, 'exit'));
    for (const worker of workers) worker.kill('SIGKILL');
    await Promise.all(exits);
    workers = [];
    await queue.close();
    await Promise.all([redis.stop(), removeFolder(folder)]);
  });

  return {
    get redis() {
      return redis;
    },
    get queue() {
      return queue;
    },
    get folder() {
      return folder;
    },
    get modelsDir() {
      return join(folder, 'models');
    },
    async launch(env = {}) {
      const worker = fork(bundledProgram(buildDir, 'worker/main'), [], {
        execArgv: [],
        stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          REDIS_URL: redis.url,
          INFERQL_PREFIX: queue.prefix,
          INFERQL_MODELS_DIR: join(folder, 'models'),
          INFERQL_STATE_DIR: join(folder, 'state'),
          INFERQL_ENGINE_THREADS: '1',
          ...env,
        },
      });
      let log = '';
      worker.stdout!.on('data', (chunk) => {
        log += chunk;
      });
      workers.push(worker);
      await Promise.race([once(worker, 'message'), once(worker, 'close')]);
      if (!worker.connected) throw new Error(log);
      return { worker, log: () => log };
    },
  };
}
