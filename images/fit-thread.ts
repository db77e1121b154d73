import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type FitRule, fitPixels } from './fit.ts';
import type { Pixels } from './resize/pixels.ts';

export interface FitRequest {
  id: number;
  source: Pixels;
  rule: FitRule;
}

export type FitAnswer = { id: number; pixels: Uint8Array } | { id: number; error: Error };

/** Images up to this size are fitted at once: it takes about a millisecond, and transferring them costs as much. */
const MAX_INLINE_PIXELS = 500_000;

export interface FitThread {
  /**
   * Like `fitPixels`, but in another thread if the image is large. The source's buffer may be detached afterwards.
   */
  fit(source: Pixels, rule: FitRule): Promise<Uint8Array>;
  close(): Promise<void>;
}

interface Waiting {
  resolve(pixels: Uint8Array): void;
  reject(error: unknown): void;
}

/**
 * A thread that starts when the first large image comes, and again after it has failed.
 * @param path the thread's main file. @default fit-thread-main.js beside this module; if that file does not exist, everything runs in this thread
 */
export function createFitThread(path = fileURLToPath(new URL('./fit-thread-main.js', import.meta.url))): FitThread {
  const isBuilt = existsSync(path);
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let lastId = 0;

  function start(): Worker {
    const started = new Worker(path);
    const fail = (error: unknown) => {
      if (worker === started) worker = undefined;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.on('message', (answer: FitAnswer) => {
      const request = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (waiting.size === 0) started.unref();
      if ('pixels' in answer) request?.resolve(answer.pixels);
      else request?.reject(answer.error);
    });
    started.on('error', fail);
    started.on('exit', (code) => fail(new Error(`the thread that resizes images ended with code ${code}`)));
    return started;
  }

  return {
    async fit(source, rule) {
      if (!isBuilt || source.width * source.height <= MAX_INLINE_PIXELS) return fitPixels(source, rule);
      worker ??= start();
      const thread = worker;
      thread.ref();
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        post(thread, { id, source, rule });
      });
    },
    async close() {
      await worker?.terminate();
    },
  };
}

/** Transfers the pixels if their memory can be transferred, unlike some decoders' memory; copies them otherwise. */
function post(thread: Worker, request: FitRequest): void {
  const { data } = request.source;
  const isOwn = data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer;
  if (isOwn) {
    try {
      thread.postMessage(request, [data.buffer as ArrayBuffer]);
      return;
    } catch (error) {
      if ((error as Error).name !== 'DataCloneError') throw error;
    }
  }
  thread.postMessage(request);
}
