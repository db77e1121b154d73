/** Whole systems of real processes, for tests and benchmarks. */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem, bundledProgram, projectDir } from '../build.ts';
import { type Child, type ChildOptions, startChild } from '../processes/child-process.ts';
import { removeFolder } from '../processes/remove-folder.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';

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
  await mkdir(join(stateDir, 'models'), { recursive: true });
  const redis = options.redis ?? (await startTestRedis());
  const system = new TestSystem(options, { dir, stateDir, redis });
  await system.startAll();
  return system;
}

interface SystemPlaces {
  /** The compiled packages. */
  dir: string;
  stateDir: string;
  redis: TestRedis;
}

/** Servers and workers as processes, as they are shipped, on a private Redis. */
export class TestSystem {
  readonly redis: TestRedis;
  readonly servers: ServerProcess[] = [];
  readonly workers: Child[] = [];
  /** The first server's folder for uploads and other files. */
  readonly serverStateDir: string;
  readonly #options: SystemOptions;
  readonly #dir: string;
  readonly #stateDir: string;
  readonly #env = inheritedEnv();
  #serverCount = 0;
  #workerCount = 0;

  constructor(options: SystemOptions, { dir, stateDir, redis }: SystemPlaces) {
    this.redis = redis;
    this.#options = options;
    this.#dir = dir;
    this.#stateDir = stateDir;
    this.serverStateDir = this.#stateDirOf('server', 0);
  }

  /** The first server's address. */
  get url(): string {
    return this.servers[0]!.url;
  }

  /** Starts the servers and workers of the options. If one fails, all are ended. */
  async startAll(): Promise<void> {
    const { servers = 1, workers = 1 } = this.#options;
    const started = await Promise.allSettled([
      ...Array.from({ length: servers }, () => this.addServer()),
      ...Array.from({ length: workers }, () => this.addWorker()),
    ]);
    const failed = started.find((start) => start.status === 'rejected');
    if (!failed) return;
    await this.end();
    throw failed.reason;
  }

  async addServer(): Promise<ServerProcess> {
    const index = this.#serverCount++;
    const stateDir = this.#stateDirOf('server', index);
    await mkdir(stateDir, { recursive: true });
    const server = await startServer({
      name: `server ${index}`,
      args: [bundledProgram(this.#dir, 'server/main')],
      cwd: projectDir,
      env: {
        ...this.#env,
        HOST: '127.0.0.1',
        PORT: '0',
        REDIS_URL: this.#redisUrl('server', index),
        INFERQL_STATE_DIR: stateDir,
        ...this.#options.env,
      },
    });
    this.servers.push(server);
    await waitUntilReady(server.url);
    return server;
  }

  async addWorker(env: Record<string, string> = {}): Promise<Child> {
    const index = this.#workerCount++;
    const models = this.#modelSettings(index);
    await mkdir(models.INFERQL_STATE_DIR, { recursive: true });
    const worker = await startChild({
      name: `worker ${index}`,
      args: [bundledProgram(this.#dir, 'worker/main')],
      cwd: projectDir,
      env: { ...this.#env, REDIS_URL: this.#redisUrl('worker', index), ...models, ...this.#options.env, ...env },
      isReady: (message) => (message as { type?: string }).type === 'ready',
    });
    this.workers.push(worker);
    return worker;
  }

  /** Drains and ends servers, then workers. @throws if one does not exit with 0. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }

  /** Ends all in any way, for afterAll. */
  async end(): Promise<void> {
    await Promise.all([...this.servers, ...this.workers].map((child) => child.end()));
    if (!this.#options.redis) await this.redis.stop();
    // The engine processes of a killed worker end slightly later.
    await removeFolder(this.#stateDir);
  }

  #stateDirOf(role: 'server' | 'worker', index: number): string {
    return join(this.#stateDir, `${role}-${index}`);
  }

  #redisUrl(role: 'server' | 'worker', index: number): string {
    return this.#options.redisUrl?.(role, index) ?? this.redis.url;
  }

  #modelSettings(worker: number) {
    const { models = [scriptedModel()] } = this.#options;
    if (models === 'resnet50') {
      return {
        INFERQL_MODELS_DIR: join(projectDir, 'models'),
        INFERQL_STATE_DIR: join(projectDir, '.inferql'),
        // Without models that a person has added to the clone.
        INFERQL_MODELS: 'resnet50',
      };
    }
    return {
      INFERQL_MODELS_DIR: join(this.#stateDir, 'models'),
      INFERQL_STATE_DIR: this.#stateDirOf('worker', worker),
      // None: those of the folder alone, which `env` may name.
      ...(models.length > 0 && { INFERQL_SCRIPTED_MODELS: JSON.stringify(models) }),
    };
  }
}

/** The user's settings must not change the tests. */
function inheritedEnv(): Record<string, string> {
  const env: Record<string, string> = { LOG_LEVEL: 'warn' };
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'LANG']) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** A server process whose address is known, and stays the same when it is restarted. */
async function startServer(options: Omit<ChildOptions, 'isReady'>): Promise<ServerProcess> {
  let url = '';
  const child = await startChild({
    ...options,
    isReady(message) {
      const { type, url: address } = message as { type?: string; url?: string };
      if (type !== 'listening' || !address) return false;
      url = address.replace(/\/$/, '');
      return true;
    },
  });
  return {
    ...child,
    get pid() {
      return child.pid;
    },
    url,
    async restart(env) {
      await child.restart({ PORT: new URL(url).port, ...env });
      await waitUntilReady(url);
    },
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
