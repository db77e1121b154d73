/** One supervised process: started, restarted with backoff if it dies, drained on request. */

import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { EXIT_RESTART } from '@inferql/settings/exit-codes';
import { printError } from '../terminal.ts';
import { type LogStyle, showLogs } from './logs.ts';

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 5_000;
const PROVEN_AFTER_MS = 30_000;

/** Messages on the IPC channel, in both directions. */
export interface ChildMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}
export type Send = (message: ChildMessage) => void;

export interface ChildOptions {
  /** For the logs. */
  name: string;
  /** The path of the program, and its arguments. */
  args: readonly string[];
  cwd: string;
  env: Record<string, string | undefined>;
  lifeline?: Writable | undefined;
  logStyle: LogStyle;
  onMessage?: (message: ChildMessage) => void;
  /** Called at each start. */
  onStart?: (send: Send) => void;
  onDeath?: (end: { failuresInARow: number; how: string }) => void;
}

interface End {
  /** An exit code, a signal, or why the process could not be started. */
  readonly how: string;
  readonly isClean: boolean;
}

/**
 * Keeps a program running in this process group.
 *
 * Its descriptor 3 is the IPC channel, 4 the lifeline of the private Redis, if there is one. The channel carries, from the child,
 * `{type:'ready'}` (a worker is warm), `{type:'listening', url}`, `{type:'listen-failed', code, message}` (a server), and to the
 * server `{type:'listen'}`. A child that loses the channel has lost its launcher: it drains and exits.
 */
export class SupervisedChild {
  readonly #options: ChildOptions;
  #process!: ChildProcess;
  #gone!: Promise<End>;
  #isStopping = false;
  #isRestarting = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #failuresInARow = 0;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#start();
  }

  get name(): string {
    return this.#options.name;
  }

  get isRunning(): boolean {
    const { pid, exitCode, signalCode } = this.#process;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** Asks it to finish what it holds; resolves once it is gone. */
  async stop(): Promise<void> {
    this.#stopRestarting();
    if (this.isRunning) this.#process.kill('SIGTERM');
    await this.#gone;
  }

  /** Restarts it as soon as it has finished what it holds. */
  restart(): void {
    if (this.#isStopping) return;
    if (!this.isRunning) {
      clearTimeout(this.#restartTimer);
      this.#start();
    } else {
      this.#isRestarting = true;
      this.#process.kill('SIGTERM');
    }
  }

  kill(): void {
    this.#stopRestarting();
    if (this.isRunning) this.#process.kill('SIGKILL');
  }

  #stopRestarting(): void {
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
  }

  #start(): void {
    const { name, args, cwd, env, lifeline, logStyle, onMessage, onStart } = this.#options;
    const startedAt = performance.now();
    const child = spawn(process.execPath, args, {
      cwd,
      env,
      // A guard that was killed no longer holds its end.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc', ...(lifeline && !lifeline.destroyed ? [lifeline] : [])],
    });
    this.#process = child;
    showLogs(child.stdout!, name, logStyle);
    showLogs(child.stderr!, name, logStyle);
    child.on('message', (message) => {
      if (isChildMessage(message)) onMessage?.(message);
    });
    this.#gone = waitForEnd(child);
    this.#gone.then((end) => this.#onEnd(end, performance.now() - startedAt));
    onStart?.((message) => {
      if (child.connected) child.send(message, () => {});
    });
  }

  #onEnd({ how, isClean }: End, livedMs: number): void {
    if (this.#isStopping) return;
    if (this.#isRestarting) {
      this.#isRestarting = false;
      this.#start();
      return;
    }
    this.#failuresInARow = livedMs >= PROVEN_AFTER_MS ? 1 : this.#failuresInARow + 1;
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (this.#failuresInARow - 1), LONGEST_DELAY_MS);
    if (!isClean) printError(`  The ${this.name} ended (${how}); restarting in ${delayMs} ms.`);
    this.#restartTimer = setTimeout(() => this.#start(), delayMs);
    this.#options.onDeath?.({ failuresInARow: this.#failuresInARow, how });
  }
}

function waitForEnd(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    // 'error' without 'exit' means that the process never started, for example because the machine is out of processes.
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ how: error.message, isClean: false });
    });
    child.once('exit', (code, signal) =>
      resolve({ how: signal ?? `exit code ${code}`, isClean: code === 0 || code === EXIT_RESTART }),
    );
  });
}

function isChildMessage(message: unknown): message is ChildMessage {
  return typeof message === 'object' && message !== null && 'type' in message && typeof message.type === 'string';
}
