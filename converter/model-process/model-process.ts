import { type ChildProcess, fork } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { withoutTelemetry } from '../child-process/without-telemetry.ts';
import { ModelError } from '../errors.ts';
import { startDeadline } from './deadline.ts';
import { collectOutput, type Output } from './process-output.ts';
import {
  type Answer,
  type CallName,
  type FromModelProcess,
  MEMORY_MARK,
  type Request,
  type ToModelProcess,
} from './protocol.ts';

export interface ModelProcessOptions {
  /** The main file of the process. */
  programPath: string;
  memoryLimitBytes: number;
}

/** What the model must do, and within which time. */
export interface Task {
  /** As it follows "did not", such as `answer one image`. */
  what: string;
  limitMs: number;
}

interface Waiting {
  task: Task;
  resolve(answer: Answer<CallName>): void;
  reject(error: unknown): void;
}

/** How long the output of a process that has ended is waited for. */
const OUTPUT_WAIT_MS = 1_000;
/** How long an idle process may take to exit before it is killed. */
const END_MS = 1_000;

/** A process that runs users' models, from its start to its end. It does not keep this process alive while it has nothing to do. */
export class ModelProcess {
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #output: Output;
  readonly #memoryLimitBytes: number;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #reason: ModelError | undefined;
  #isAlive = true;

  constructor({ programPath, memoryLimitBytes }: ModelProcessOptions) {
    this.#memoryLimitBytes = memoryLimitBytes;
    this.#child = fork(programPath, [String(memoryLimitBytes)], {
      // The end of standard input shows it that this process has ended.
      stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      execArgv: [],
      env: withoutTelemetry(),
    });
    this.#output = collectOutput(this.#child);
    this.#child.stdin?.on('error', () => undefined);
    this.#child.on('message', (message: FromModelProcess) => this.#receive(message));
    this.ended = new Promise((resolve) => {
      const end = (how: string, cause?: Error) => {
        this.#isAlive = false;
        this.#fail(how, cause);
        resolve();
      };
      // 'close' follows the last output, which another process may keep open; a process that did not start has an 'error' alone.
      this.#child.once('exit', (exitCode, signal) => {
        const how = signal ?? `exit code ${exitCode}`;
        const timer = setTimeout(() => end(how), OUTPUT_WAIT_MS);
        this.#child.once('close', () => {
          clearTimeout(timer);
          end(how);
        });
      });
      this.#child.once('error', (cause) => end('it could not be started', cause));
    });
    this.#keepAlive(false);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Receives what the model prints, line by line. */
  showOutput(onLine: (line: string) => void): void {
    this.#output.show(onLine);
  }

  /**
   * @throws Error with the message of what the model threw; ModelError RUN_TIMEOUT, RUN_CRASHED, RUN_OUT_OF_MEMORY, after which the process has
   * ended
   */
  ask<Name extends CallName>(name: Name, request: Request<Name>, task: Task): Promise<Answer<Name>> {
    return new Promise<Answer<CallName>>((resolve, reject) => {
      if (!this.#isAlive) return reject(this.#reason ?? describeEnd('ended before', task, ''));
      const id = ++this.#lastId;
      const deadline = startDeadline(task.limitMs, () => this.stop(describeTimeout(task)));
      const settle = (act: () => void) => {
        deadline.clear();
        this.#waiting.delete(id);
        if (this.#waiting.size === 0) this.#keepAlive(false);
        act();
      };
      this.#waiting.set(id, {
        task,
        resolve: (answer) => settle(() => resolve(answer)),
        reject: (error) => settle(() => reject(error)),
      });
      this.#keepAlive(true);
      // A failure means that the process has ended, which its events report.
      if (this.#child.connected) this.#child.send({ id, name, request } as ToModelProcess, () => undefined);
    }) as Promise<Answer<Name>>;
  }

  /** Ends it at once; what it is asked for fails with the reason. */
  stop(reason: ModelError): void {
    this.#reason ??= reason;
    this.#isAlive = false;
    this.#child.kill('SIGKILL');
  }

  /** Ends it. Resolves when it has ended. */
  async close(): Promise<void> {
    this.#isAlive = false;
    this.#keepAlive(true);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    if (this.#child.connected) this.#child.disconnect();
    await this.ended;
    clearTimeout(timer);
  }

  #receive(message: FromModelProcess): void {
    const waiting = this.#waiting.get(message.id);
    if ('error' in message) waiting?.reject(new Error(message.error));
    else waiting?.resolve(message.answer);
  }

  #fail(how: string, cause: Error | undefined): void {
    const printed = this.#output.last();
    for (const { task, reject } of [...this.#waiting.values()]) {
      if (this.#reason) reject(this.#reason);
      else if (printed.includes(MEMORY_MARK)) reject(describeMemory(task, this.#memoryLimitBytes));
      else if (HEAP_LIMIT.test(printed)) reject(describeMemory(task));
      else reject(describeEnd(how, task, printed, cause));
    }
  }

  #keepAlive(isNeeded: boolean): void {
    const { stdin, stdout, stderr, channel } = this.#child;
    const parts = [this.#child, channel, stdin, stdout, stderr] as (Partial<Referenced> | null | undefined)[];
    for (const part of parts) part?.[isNeeded ? 'ref' : 'unref']?.();
  }
}

type Referenced = (Readable | Writable) & { ref(): void; unref(): void };

const HEAP_LIMIT = /heap out of memory|Reached heap limit/;

function describeTimeout({ what, limitMs }: Task): ModelError {
  const seconds = Math.max(1, Math.round(limitMs / 1_000));
  return new ModelError(
    'RUN_TIMEOUT',
    `the model did not ${what} within ${seconds} s, so it was stopped: it may have a loop without an end; if it is only slow here, give it more time with --run-limit ${seconds * 4}`,
  );
}

function describeMemory({ what }: Task, limitBytes?: number): ModelError {
  const limit = limitBytes === undefined ? '' : `more than ${(limitBytes / 1e9).toFixed(1)} GB of `;
  return new ModelError(
    'RUN_OUT_OF_MEMORY',
    `the model took ${limit === '' ? 'too much ' : limit}memory when it had to ${what}, so it was stopped: it may have a loop that collects values; if it is only large, use a smaller --width and --height, or a machine with more memory`,
  );
}

function describeEnd(how: string, { what }: Task, printed: string, cause?: Error): ModelError {
  const [line] = printed
    .split('\n')
    .filter((text) => text.trim() !== '')
    .slice(-1);
  const killed = how === 'SIGKILL' ? ', as systems do when their memory is full' : '';
  const message = `the model ended its process (${how}${killed}) when it had to ${what}${line ? `: ${line.trim().slice(0, 300)}` : ''}. Export it again in another way, such as with another opset`;
  return new ModelError('RUN_CRASHED', message, { cause });
}
