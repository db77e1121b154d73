/** The running system: workers, server, and the order in which they start and stop. Redis is stopped last. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { identifyProcess } from '../processes.mjs';
import type { RunningRedis } from '../redis/private-redis.ts';
import { describeFailure, print, printError, SetupError } from '../terminal.ts';
import { describeListenFailure } from './listen-address.ts';
import type { LogStyle } from './logs.ts';
import { memorySettings } from './memory-settings.ts';
import { type ChildMessage, type Send, SupervisedChild } from './supervised-child.ts';

// A server drains within this; workers stop afterwards, so that waiting callers still get their answers.
const SERVER_HEAD_START_MS = 10_000;
const STOP_TIMEOUT_MS = 30_000;
const FUTILE_STARTS = 5;

export interface SystemOptions {
  port: number;
  host: string;
  workers: number;
  logStyle: LogStyle;
  /** The paths of server/main.js and worker/main.js. */
  programs: { server: string; worker: string };
  /** The folder in which they run. */
  cwd: string;
  /** Their environment, former names of settings replaced. */
  env: Record<string, string | undefined>;
  stateDir: string;
  modelsDir: string;
  redis: RunningRedis;
  /** Further programs to run, by name. They need neither Redis nor a drain. */
  companions?: Record<string, { args: readonly string[] }>;
}

/** Starts workers and server together; the server opens its port once the first worker is warm. */
export class RunningSystem {
  /** The address, once predictions can be answered. Rejects with a SetupError if that will not happen. */
  readonly listening: Promise<string>;
  readonly #options: SystemOptions;
  readonly #recordPath: string;
  readonly #server: SupervisedChild;
  readonly #workers: SupervisedChild[];
  readonly #companions: SupervisedChild[];
  #sendToServer: Send = () => {};
  #mayListen: boolean;
  #isUp = false;
  #stopped: Promise<void> | undefined;
  #wasForced = false;
  #resolve!: (url: string) => void;
  #reject!: (error: Error) => void;

  constructor(options: SystemOptions) {
    this.#options = options;
    const { stateDir, workers } = options;
    removeStaleRecords(stateDir);
    this.#recordPath = join(stateDir, `running-${process.pid}.json`);
    this.listening = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#mayListen = workers === 0;
    this.#server = this.#startServer();
    this.#workers = Array.from({ length: workers }, (_, index) => this.#startWorker(index));
    const { cwd, env, logStyle, companions = {} } = options;
    this.#companions = Object.entries(companions).map(
      ([name, { args }]) => new SupervisedChild({ name, args, cwd, env, logStyle }),
    );
  }

  /** Server first, then workers, Redis last. Resolves to whether all of them exited without being killed. */
  async stop(): Promise<boolean> {
    this.#stopped ??= this.#drain();
    await this.#stopped;
    return !this.#wasForced;
  }

  /** Restarts the server or all workers, whose code has changed. */
  restart(part: 'server' | 'worker'): void {
    for (const child of part === 'server' ? [this.#server] : this.#workers) child.restart();
  }

  killChildren(reason: string): void {
    const left = this.#running();
    for (const child of this.#children()) child.kill();
    if (left.length === 0) return;
    this.#wasForced = true;
    printError(`  ${reason} Killed: ${left.join(', ')}.`);
  }

  describeRunning(): void {
    const left = this.#running();
    print(left.length > 0 ? `  Still finishing: ${left.join(', ')}.` : '  Still stopping Redis.');
  }

  #children(): SupervisedChild[] {
    return [this.#server, ...this.#workers, ...this.#companions];
  }

  #running(): string[] {
    return this.#children()
      .filter((child) => child.isRunning)
      .map((child) => child.name);
  }

  #startServer(): SupervisedChild {
    const cores = availableParallelism();
    // They decode images and access files. Two more than cores, since a decoder waits while it passes strips between threads.
    const threads = process.env.UV_THREADPOOL_SIZE || String(cores + 2);
    return new SupervisedChild({
      ...this.#shared(),
      name: 'server',
      args: [this.#options.programs.server],
      env: { ...this.#env(), UV_THREADPOOL_SIZE: threads },
      onStart: (send) => {
        this.#sendToServer = send;
        if (this.#mayListen) send({ type: 'listen' });
      },
      onMessage: (message) => this.#onServerMessage(message),
      onDeath: (end) => this.#onDeath('server', end),
    });
  }

  #startWorker(index: number): SupervisedChild {
    const { workers, programs } = this.#options;
    // Workers of one machine share its cores; more threads than cores only slow each other down.
    const threads = Math.max(1, Math.floor(availableParallelism() / workers));
    const name = workers === 1 ? 'worker' : `worker ${index + 1}`;
    const env = this.#env();
    return new SupervisedChild({
      ...this.#shared(),
      name,
      args: [programs.worker],
      env: { ...env, INFERQL_ENGINE_THREADS: env.INFERQL_ENGINE_THREADS || String(threads) },
      onMessage: ({ type }) => {
        if (type !== 'ready' || this.#mayListen) return;
        this.#mayListen = true;
        this.#sendToServer({ type: 'listen' });
      },
      onDeath: (end) => this.#onDeath(name, end),
    });
  }

  #shared() {
    const { cwd, redis, logStyle } = this.#options;
    return { cwd, lifeline: redis.lifeline, logStyle };
  }

  #env(): Record<string, string | undefined> {
    const { env, redis, stateDir, modelsDir, port, host } = this.#options;
    return {
      ...env,
      ...memorySettings(env),
      REDIS_URL: redis.url,
      INFERQL_STATE_DIR: stateDir,
      INFERQL_MODELS_DIR: modelsDir,
      PORT: String(port),
      HOST: host,
      INFERQL_LISTEN: 'on-message',
    };
  }

  #onServerMessage(message: ChildMessage): void {
    if (message.type === 'listening') {
      this.#isUp = true;
      const url = String(message.url);
      this.#writeRecord(url);
      this.#resolve(url);
    } else if (message.type === 'listen-failed') {
      void this.#reportListenFailure(message as unknown as { code?: string; message: string });
    }
  }

  async #reportListenFailure(cause: { code?: string; message: string }): Promise<void> {
    const { port, host } = this.#options;
    const failure = await describeListenFailure(cause, port, host);
    if (this.#isUp) printError(`  ${failure.message}`);
    else this.#reject(failure);
  }

  /** For other commands: without it, they need INFERQL_URL and REDIS_URL. */
  #writeRecord(url: string): void {
    const record = { pid: process.pid, url, redisUrl: this.#options.redis.url };
    try {
      writeFileSync(this.#recordPath, JSON.stringify(record), { mode: 0o600 });
    } catch (error) {
      printError(`  Other commands cannot find this system: ${describeFailure(error)}`);
    }
  }

  #onDeath(name: string, { failuresInARow, how }: { failuresInARow: number; how: string }): void {
    if (this.#isUp || failuresInARow < FUTILE_STARTS) return;
    this.#reject(
      new SetupError(`The ${name} ended ${FUTILE_STARTS} times before it was ready (${how}). Its messages are above.`),
    );
  }

  async #drain(): Promise<void> {
    const forced = setTimeout(() => this.killChildren('They did not finish in time.'), STOP_TIMEOUT_MS);
    const companionsGone = this.#companions.map((companion) => companion.stop());
    const serverGone = this.#server.stop();
    let headStart: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      headStart = setTimeout(resolve, SERVER_HEAD_START_MS);
    });
    await Promise.race([serverGone, waited]);
    clearTimeout(headStart);
    await Promise.all([serverGone, ...companionsGone, ...this.#workers.map((worker) => worker.stop())]);
    clearTimeout(forced);
    await this.#options.redis.stop();
    rmSync(this.#recordPath, { force: true });
  }
}

/** Records which systems of this folder run, and where, for other commands; a killed launcher leaves its record. */
function removeStaleRecords(stateDir: string): void {
  for (const name of readdirSync(stateDir)) {
    const pid = Number(/^running-(\d+)\.json$/.exec(name)?.[1]);
    if (pid && !identifyProcess(pid)) rmSync(join(stateDir, name), { force: true });
  }
}
