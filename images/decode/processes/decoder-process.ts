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

export interface DecoderProcess {
  /**
   * Decodes one image; the process must be idle.
   * @param memoryBytes the expected memory; if it takes far more, the process is ended
   * @throws InferqlError, UNAVAILABLE if the process could not run; ProcessEnded if the image ended it; the signal's reason if it aborts, which ends the process
   */
  decode(
    file: Buffer,
    input: ServedModel['input'],
    options: { memoryBytes: number; signal: AbortSignal },
  ): Promise<Buffer>;
  isAlive(): boolean;
  /** Memory after the last image. */
  rssBytes(): number;
  images(): number;
  pid(): number | undefined;
  end(): void;
}

export class ProcessEnded extends Error {}

interface Job {
  id: number;
  resolve(pixels: Buffer): void;
  reject(error: unknown): void;
}

/** @param path the process' main file. @default decoder-process-main.js beside this module */
export function startDecoderProcess(
  path = fileURLToPath(new URL('./decoder-process-main.js', import.meta.url)),
): DecoderProcess {
  const child = fork(path, [], {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  lowerPriority(child);
  let job: Job | undefined;
  let images = 0;
  let rss = 0;
  let isAlive = true;
  let isReady = false;

  const settle = (use: (job: Job) => void) => {
    const ended = job;
    job = undefined;
    setReferenced(child, false);
    if (ended) use(ended);
  };
  child.on('message', (answer: DecodeAnswer | Ready) => {
    if (answer === 'ready') {
      isReady = true;
      return;
    }
    if (answer.id !== job?.id) return;
    rss = answer.rssBytes;
    settle(({ resolve, reject }) => {
      if ('pixels' in answer)
        resolve(Buffer.from(answer.pixels.buffer, answer.pixels.byteOffset, answer.pixels.length));
      else reject(restoreError(answer.error));
    });
  });
  const hasEnded = (cause?: unknown, signal?: NodeJS.Signals | null) => {
    isAlive = false;
    // If a process did not start, or a full machine ended it, the image is not at fault.
    const isImagesFault = isReady && cause === undefined && signal !== 'SIGKILL';
    settle(({ reject }) =>
      reject(isImagesFault ? new ProcessEnded('the decoder process ended') : refuseProcess(cause)),
    );
  };
  child.once('exit', (_code, signal) => hasEnded(undefined, signal));
  child.on('error', (error) => hasEnded(error));
  setReferenced(child, false);

  const end = () => {
    isAlive = false;
    child.kill('SIGKILL');
  };

  return {
    decode(file, input, { memoryBytes, signal }) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        if (job || !isAlive) return reject(new ProcessEnded('the decoder process is busy or has ended'));
        const refuse = (error: unknown) => {
          end();
          settle((current) => current.reject(error));
        };
        const onAbort = () => refuse(signal.reason);
        const watch = setInterval(() => {
          if (readResidentBytes(child.pid) > memoryBytes * 1.5 + file.length * 4 + BASE_BYTES) {
            refuse(refuseWork('it takes more memory than its header announces'));
          }
        }, WATCH_MEMORY_MS);
        const done = () => {
          clearInterval(watch);
          signal.removeEventListener('abort', onAbort);
        };
        job = {
          id: ++images,
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
        setReferenced(child, true);
        // The exit event handles a process that has just ended.
        child.send({ id: images, file, input } satisfies DecodeRequest, () => undefined);
      });
    },
    isAlive: () => isAlive,
    rssBytes: () => rss,
    images: () => images,
    pid: () => child.pid,
    end,
  };
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
