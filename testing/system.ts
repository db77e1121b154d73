import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem, projectDir } from './build.ts';
import { type Child, startChild } from './child-process.ts';
import { startTestRedis, type TestRedis } from './redis-server.ts';
import { removeFolder } from './remove-folder.ts';

export interface SystemOptions {
  /** How many server processes. @default 1 */
  servers?: number;
  /** How many worker processes. @default 1 */
  workers?: number;
  /** A list of scripted models, as the worker's INFERQL_SCRIPTED_MODELS takes it, or the installed ResNet50. @default one model `scripted` */
  models?: object[] | 'resnet50';
  /** A Redis that the test starts and ends. @default a private one without persistence */
  redis?: TestRedis;
  /** The Redis address of a process, such as a proxy's. @default the Redis directly */
  redisUrl?: (role: 'server' | 'worker', index: number) => string;
  /** Further settings, for all processes. */
  env?: Record<string, string>;
}

export interface ServerProcess extends Child {
  /** http://127.0.0.1:port; the same after `restart()`. */
  readonly url: string;
}

/** Servers and workers as processes, as they are shipped, on a private Redis. */
export interface TestSystem {
  readonly redis: TestRedis;
  readonly servers: ServerProcess[];
  readonly workers: Child[];
  /** The first server's address. */
  readonly url: string;
  /** The first server's folder for uploads and other files. */
  readonly serverStateDir: string;
  addServer(): Promise<ServerProcess>;
  addWorker(env?: Record<string, string>): Promise<Child>;
  /** Drains and ends servers, then workers. @throws if one does not exit with 0. */
  stop(): Promise<void>;
  /** Ends all in any way, for afterAll. */
  end(): Promise<void>;
}

/** Fields of a scripted model that a test sets; worker/engines/scripted/scripted-models.ts has all fields and their defaults. */
export interface ScriptedChanges {
  name?: string;
  classCount?: number;
  input?: object;
  script?: object;
  batching?: object;
  queue?: object;
}

/**
 * A small fast model whose answer follows from the picture's first pixel: class red + 256 green, so that `makePicture(n)` is of the
 * class `expectedClass(n)`.
 */
export function scriptedModel(changes: ScriptedChanges = {}): object {
  return { name: 'scripted', classCount: 4_096, input: { width: 4, height: 4 }, ...changes };
}

/**
 * Starts a whole system and resolves once its servers are ready and its workers warm and announced.
 * @throws with a process' output if it does not start
 */
export async function startSystem(options: SystemOptions = {}): Promise<TestSystem> {
  const dir = await buildSystem();
  const stateDir = await mkdtemp(join(tmpdir(), 'inferql-system-'));
  const redis = options.redis ?? (await startTestRedis());
  const servers: ServerProcess[] = [];
  const workers: Child[] = [];
  const real = options.models === 'resnet50';
  const scripted = Array.isArray(options.models) ? options.models : [scriptedModel()];
  const redisUrl = (role: 'server' | 'worker', index: number) => options.redisUrl?.(role, index) ?? redis.url;
  // The user's settings must not change the tests.
  const basic: Record<string, string> = { LOG_LEVEL: 'warn' };
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'LANG']) {
    const value = process.env[name];
    if (value !== undefined) basic[name] = value;
  }
  const serverStateDir = (index: number) => join(stateDir, `server-${index}`);
  await mkdir(join(stateDir, 'models'), { recursive: true });

  let serverCount = 0;
  let workerCount = 0;

  async function addServer(): Promise<ServerProcess> {
    const index = serverCount++;
    let url = '';
    const env = {
      ...basic,
      HOST: '127.0.0.1',
      PORT: '0',
      REDIS_URL: redisUrl('server', index),
      INFERQL_STATE_DIR: serverStateDir(index),
      ...options.env,
    };
    await mkdir(serverStateDir(index), { recursive: true });
    const child = await startChild({
      name: `server ${index}`,
      args: [join(dir, 'server/main.js')],
      env,
      cwd: projectDir,
      isReady(message) {
        const { type, url: address } = message as { type?: string; url?: string };
        if (type !== 'listening' || !address) return false;
        url = address.replace(/\/$/, '');
        return true;
      },
    });
    const server: ServerProcess = {
      ...child,
      get pid() {
        return child.pid;
      },
      url,
      async restart(more) {
        await child.restart({ PORT: new URL(url).port, ...more });
        await waitUntilReady(url);
      },
    };
    servers.push(server);
    await waitUntilReady(url);
    return server;
  }

  async function addWorker(more: Record<string, string> = {}): Promise<Child> {
    const index = workerCount++;
    const models = real
      ? {
          INFERQL_MODELS_DIR: join(projectDir, 'models'),
          INFERQL_STATE_DIR: join(projectDir, '.inferql'),
          // Without models that a person has added to the clone.
          INFERQL_MODELS: 'resnet50',
        }
      : {
          INFERQL_MODELS_DIR: join(stateDir, 'models'),
          INFERQL_STATE_DIR: join(stateDir, `worker-${index}`),
          // None: those of the folder alone, which `env` may name.
          ...(scripted.length > 0 && { INFERQL_SCRIPTED_MODELS: JSON.stringify(scripted) }),
        };
    await mkdir(models.INFERQL_STATE_DIR, { recursive: true });
    const worker = await startChild({
      name: `worker ${index}`,
      args: [join(dir, 'worker/main.js')],
      env: { ...basic, REDIS_URL: redisUrl('worker', index), ...models, ...options.env, ...more },
      cwd: projectDir,
      isReady: (message) => (message as { type?: string }).type === 'ready',
    });
    workers.push(worker);
    return worker;
  }

  async function end(): Promise<void> {
    await Promise.all([...servers, ...workers].map((child) => child.end()));
    if (!options.redis) await redis.stop();
    // The engine processes of a killed worker end slightly later.
    await removeFolder(stateDir);
  }

  const started = await Promise.allSettled([
    ...Array.from({ length: options.servers ?? 1 }, addServer),
    ...Array.from({ length: options.workers ?? 1 }, () => addWorker()),
  ]);
  const failed = started.find((start) => start.status === 'rejected');
  if (failed) {
    await end();
    throw failed.reason;
  }

  return {
    redis,
    servers,
    workers,
    get url() {
      return servers[0]!.url;
    },
    serverStateDir: serverStateDir(0),
    addServer,
    addWorker,
    async stop() {
      await Promise.all(servers.map((server) => server.stop()));
      await Promise.all(workers.map((worker) => worker.stop()));
    },
    end,
  };
}

/** Asks until the server reports that it is ready. It answers at once, so this asks again at once, at most every 20 ms. */
export async function waitUntilReady(url: string, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const status = await fetch(`${url}/health/ready`).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      () => 0,
    );
    if (status === 200) return;
    if (Date.now() > deadline) throw new Error(`${url}/health/ready still answers ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
