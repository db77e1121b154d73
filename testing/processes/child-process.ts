import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { hasEnded } from './has-ended.ts';

/** Only bounds a start that hangs. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 30_000;
const KEPT_OUTPUT = 16_000;
const READ_OUTPUT_MS = 2_000;

export interface ChildOptions {
  name: string;
  /** The program's file and its arguments, for Node. */
  args: string[];
  env: Record<string, string>;
  cwd: string;
  /** Called with each message of the process; the start is complete when it returns true. */
  isReady(message: unknown): boolean;
}

/** A process under test. */
export interface Child {
  readonly name: string;
  /** The current process' id; another one after `restart()`. */
  readonly pid: number;
  /** The end of its output, for a failed test's message. */
  output(): string;
  /** SIGKILL; resolves once it is gone. */
  kill9(): Promise<void>;
  /** SIGTERM; resolves once it has ended. @throws if it does not end with exit code 0 within 30 s. */
  stop(): Promise<void>;
  /** SIGSTOP: it is paused until `resume()`. */
  pause(): void;
  resume(): void;
  /** Restarts it, after ending it like `stop()` if it still runs; resolves once it is ready. */
  restart(env?: Record<string, string>): Promise<void>;
  send(message: object): void;
  /** Ends it in any way, and never throws. */
  end(): Promise<void>;
}

/**
 * Resolves once everything that a process printed has been read. Call it when the process has ended ('exit'): its last lines may still be in
 * the pipes then. A process that outlives it and holds a pipe open is waited for two seconds.
 */
export async function whenOutputRead(child: ChildProcess): Promise<void> {
  // Then there is no event to wait for: 'close' comes in the same tick as 'exit'.
  if ([child.stdout, child.stderr].every((stream) => stream === null || stream.closed)) return;
  const isRead = new AbortController();
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const late = delay(READ_OUTPUT_MS, undefined, { signal: isRead.signal }).catch(() => undefined);
  await Promise.race([closed, late]);
  isRead.abort();
}

/** Starts a Node program with a channel to its parent and resolves once it reports that it is ready. @throws with its output if it ends before. */
export async function startChild(options: ChildOptions): Promise<Child> {
  let output = '';
  let child: ChildProcess;

  async function launch(env: Record<string, string> = {}): Promise<void> {
    const started = spawn(process.execPath, options.args, {
      cwd: options.cwd,
      env: { ...options.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child = started;
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
    };
    started.stdout!.on('data', collect);
    started.stderr!.on('data', collect);
    await new Promise<void>((resolve, reject) => {
      const fail = (reason: string) => reject(new Error(`${options.name} ${reason}\n${output}`));
      const late = setTimeout(() => {
        started.kill('SIGKILL');
        fail(`was not ready within ${START_TIMEOUT_MS} ms`);
      }, START_TIMEOUT_MS);
      started.on('message', (message) => {
        if (!options.isReady(message)) return;
        clearTimeout(late);
        resolve();
      });
      started.once('exit', (code, signal) => {
        clearTimeout(late);
        void whenOutputRead(started).then(() => fail(`ended before it was ready (${signal ?? code})`));
      });
    });
  }

  const isRunning = () => !hasEnded(child);
  const killWithTests = () => isRunning() && child.kill('SIGKILL');
  process.once('exit', killWithTests);

  async function kill9(): Promise<void> {
    if (!isRunning()) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async function stop(): Promise<void> {
    if (isRunning()) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(late);
    }
    if (child.exitCode !== 0)
      throw new Error(`${options.name} did not end well: ${child.signalCode ?? child.exitCode}\n${output}`);
  }

  await launch();

  return {
    name: options.name,
    get pid() {
      return child.pid!;
    },
    output: () => output,
    kill9,
    stop,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async restart(env) {
      if (isRunning()) await stop();
      await launch(env);
    },
    send: (message) => void child.send(message),
    async end() {
      process.off('exit', killWithTests);
      await kill9();
    },
  };
}
