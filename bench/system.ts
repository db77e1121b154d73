import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { bundledProgram } from '@inferql/launcher/build/bundle';
import { memorySettings } from '@inferql/launcher/supervise/memory-settings';
import { hasEnded } from '@inferql/testing/processes/has-ended';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { childrenOf } from './process-usage.ts';

const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 30_000;

/** A model that the scripted engine serves; the fields are those of worker/engines/scripted/scripted-models.ts. */
export interface ScriptedModel {
  name: string;
  classCount?: number;
  input?: { width: number; height: number; channels: 3; shortSide?: number; resize?: string };
  script?: { waitMs?: number; waitMsPerImage?: number };
  batching?: { maxBatchSize?: number; maxQueueDelayMs?: number };
  queue?: { maxQueueSize?: number; fairShares?: boolean };
}

export interface SystemOptions {
  /** Servers, each on a free port. @default 1 */
  servers?: number;
  /** @default 1 */
  workers?: number;
  /** Served instead of the model repository. */
  scripted?: ScriptedModel[];
  /** Names of the repository's models to serve. @default all */
  models?: string[];
  modelsDir?: string;
  /** Further settings for servers and workers. Sharing and the cache are off unless set here, since the images repeat. */
  env?: Record<string, string>;
  /** Further arguments of Node for the servers, such as `--cpu-prof`. */
  serverArgs?: string[];
  /** Called with each line that a server or worker writes. @default they write to the terminal */
  onLog?(line: string): void;
}

export interface System {
  redisUrl: string;
  /** Addresses of the GraphQL endpoints. */
  urls: string[];
  pids: { redis: number; servers: number[]; workers: number[]; engines(): number[] };
  /** Starts a further worker, which serves only this model until it is stopped. */
  startWorker(model: ScriptedModel): Promise<{ stop(): Promise<void> }>;
  /** SIGTERM to all, then Redis. */
  stop(): Promise<void>;
}

/** Starts a separate system: a private Redis (nothing is saved), workers, servers. Resolves once a prediction can be answered. */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const redis = await startTestRedis();
  const stateDir = resolve('.inferql');
  const uploads = await mkdtemp(join(tmpdir(), 'inferql-bench-'));
  const children: ChildProcess[] = [];
  const env = {
    ...process.env,
    REDIS_URL: redis.url,
    INFERQL_MODELS_DIR: resolve(options.modelsDir ?? 'models'),
    INFERQL_STATE_DIR: stateDir,
    HOST: '127.0.0.1',
    LOG_LEVEL: 'warn',
    ...memorySettings(process.env),
    INFERQL_SHARE: '0',
    INFERQL_CACHE_TTL_MS: '0',
    ...(options.scripted && { INFERQL_SCRIPTED_MODELS: JSON.stringify(options.scripted) }),
    ...(options.models && { INFERQL_MODELS: options.models.join(',') }),
    ...options.env,
  };
  const start = (program: 'server/main' | 'worker/main', args: string[], more: Record<string, string>) => {
    const child = spawn(process.execPath, [...args, bundledProgram(join(import.meta.dirname, '..'), program)], {
      env: { ...env, ...more },
      stdio: options.onLog ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    for (const input of [child.stdout, child.stderr]) {
      if (input) createInterface({ input }).on('line', (line) => options.onLog?.(line));
    }
    children.push(child);
    return child;
  };
  const killWithBench = () => {
    for (const child of children) child.kill('SIGKILL');
  };
  process.once('exit', killWithBench);
  const stopAll = async () => {
    for (const child of children.toReversed()) await endChild(child);
    process.off('exit', killWithBench);
    await redis.stop();
    await rm(uploads, { recursive: true, force: true });
  };
  try {
    const workers = Array.from({ length: options.workers ?? 1 }, () => start('worker/main', [], {}));
    await Promise.all(workers.map((worker) => waitForMessage(worker, 'ready')));
    const servers = Array.from({ length: options.servers ?? 1 }, (_, index) =>
      start('server/main', options.serverArgs ?? [], {
        PORT: '0',
        UV_THREADPOOL_SIZE: String(availableParallelism() + 2),
        INFERQL_STATE_DIR: join(uploads, String(index)),
      }),
    );
    const listening = await Promise.all(servers.map((server) => waitForMessage(server, 'listening')));
    return {
      redisUrl: redis.url,
      urls: listening.map(({ url }) => new URL('/graphql', url).href),
      pids: {
        redis: redis.pid,
        servers: servers.map(({ pid }) => pid!),
        workers: workers.map(({ pid }) => pid!),
        engines: () => workers.flatMap(({ pid }) => childrenOf(pid!)),
      },
      async startWorker(model) {
        const scripted = JSON.stringify([model]);
        const worker = start('worker/main', [], { INFERQL_SCRIPTED_MODELS: scripted, INFERQL_MODELS: '' });
        await waitForMessage(worker, 'ready');
        return { stop: () => endChild(worker) };
      },
      stop: stopAll,
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

function waitForMessage(child: ChildProcess, type: string): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`no '${type}' in ${START_LIMIT_MS} ms`)), START_LIMIT_MS);
    child.once('exit', (code, signal) => {
      clearTimeout(limit);
      reject(new Error(`ended before '${type}' (${signal ?? code})`));
    });
    child.on('message', (message: Record<string, string>) => {
      if (message.type !== type) return;
      clearTimeout(limit);
      resolve(message);
    });
  });
}

async function endChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const exited = once(child, 'exit');
  const forced = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  child.kill('SIGTERM');
  await exited;
  clearTimeout(forced);
}
