import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { refuseWork } from '../../inspect/refusals.ts';
import type { DecodeAnswer, DecodeRequest, Ready } from './process-protocol.ts';

/** Ordinary images go first: this process gets half of another one's CPU time. */
const NICENESS = 3;
const WATCH_MEMORY_MS = 200;
const PAGE_BYTES = 4_096;
/** Memory of Node, the library, and the copies of the file. */
const BASE_BYTES = 300e6;

/** The process exited or was killed before it answered. */
export class ProcessEnded extends Error {}

interface Job {
  id: number;
  resolve(pixels: Buffer): void;
  reject(error: unknown): void;
}

/** A process that decodes one image at a time, and that can be ended. */
export class DecoderProcess {
  readonly #child: ChildProcess;
  #job: Job | undefined;
  #images = 0;
  #rssBytes = 0;
  #isAlive = true;
  #isReady = false;

  /** Starts it. @param path the process' main file. @default decoder-process-main.js next to this module */
  constructor(path = fileURLToPath(new URL('./decoder-process-main.js', import.meta.url))) {
    const child = fork(path, [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child = child;
    lowerPriority(child);
    child.on('message', (answer: DecodeAnswer | Ready) => this.#onMessage(answer));
    child.once('exit', (_code, signal) => this.#onEnd(undefined, signal));
    child.on('error', (error) => this.#onEnd(error));
    setReferenced(child, false);
  }

  /**
   * Decodes one image; the process must be idle.
   * @param memoryBytes the expected memory; if it takes far more, the process is ended
   * @throws InferqlError, UNAVAILABLE if the process could not run; ProcessEnded if the image ended it; the signal's reason if it aborts, which ends the process
   */
  decode(
    file: Buffer,
    input: ServedModel['input'],
    { memoryBytes, signal }: { memoryBytes: number; signal: AbortSignal },
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#job || !this.#isAlive) return reject(new ProcessEnded('the decoder process is busy or has ended'));
      const onAbort = () => this.#refuse(signal.reason);
      const watch = this.#watchMemory(memoryBytes * 1.5 + file.length * 4 + BASE_BYTES);
      const done = () => {
        clearInterval(watch);
        signal.removeEventListener('abort', onAbort);
      };
      this.#job = {
        id: ++this.#images,
        resolve(pixels) {
          done();
          resolve(pixels);
        },
        reject(error) {
          done();
          reject(error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      setReferenced(this.#child, true);
      // The exit event handles a process that has just ended.
      this.#child.send({ id: this.#images, file, input } satisfies DecodeRequest, () => undefined);
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Memory after the last image. */
  get rssBytes(): number {
    return this.#rssBytes;
  }

  /** How many images it was given. */
  get images(): number {
    return this.#images;
  }

  end(): void {
    this.#isAlive = false;
    this.#child.kill('SIGKILL');
  }

  #onMessage(answer: DecodeAnswer | Ready): void {
    if (answer === 'ready') {
      this.#isReady = true;
      return;
    }
    if (answer.id !== this.#job?.id) return;
    this.#rssBytes = answer.rssBytes;
    this.#settle(({ resolve, reject }) => {
      if ('pixels' in answer)
        resolve(Buffer.from(answer.pixels.buffer, answer.pixels.byteOffset, answer.pixels.length));
      else reject(restoreError(answer.error));
    });
  }

  #onEnd(cause?: unknown, signal?: NodeJS.Signals | null): void {
    this.#isAlive = false;
    // If a process did not start, or a full machine ended it, the image is not at fault.
    const isImagesFault = this.#isReady && cause === undefined && signal !== 'SIGKILL';
    this.#settle(({ reject }) =>
      reject(isImagesFault ? new ProcessEnded('the decoder process ended') : refuseProcess(cause)),
    );
  }

  #watchMemory(maxBytes: number): NodeJS.Timeout {
    return setInterval(() => {
      if (readResidentBytes(this.#child.pid) > maxBytes) {
        this.#refuse(refuseWork('it takes more memory than its header announces'));
      }
    }, WATCH_MEMORY_MS);
  }

  /** Ends the process, and its image with this error. */
  #refuse(error: unknown): void {
    this.end();
    this.#settle(({ reject }) => reject(error));
  }

  #settle(use: (job: Job) => void): void {
    const ended = this.#job;
    this.#job = undefined;
    setReferenced(this.#child, false);
    if (ended) use(ended);
  }
}

/** At once, so that threads that the process starts later inherit it. */
function lowerPriority({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, NICENESS);
  } catch {
    // Not everywhere, and not needed.
  }
}

/** An idle process must not keep this one alive. */
function setReferenced(child: ChildProcess, isReferenced: boolean): void {
  child[isReferenced ? 'ref' : 'unref']();
  child.channel?.[isReferenced ? 'ref' : 'unref']();
}

/** 0 if the system does not say. */
function readResidentBytes(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}

function restoreError({
  code,
  message,
  retryAfterMs,
}: Extract<DecodeAnswer, { error: unknown }>['error']): InferqlError {
  return new InferqlError(code, retryAfterMs === undefined ? { message } : { message, retryAfterMs });
}

function refuseProcess(cause: unknown): InferqlError {
  const message = 'The decoder process could not run. Try again a little later.';
  return new InferqlError('UNAVAILABLE', { message, retryAfterMs: 5_000, cause });
}
