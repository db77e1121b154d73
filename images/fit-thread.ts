import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FitRule } from './fit-pixels.ts';
import type { Pixels } from './resize/pixels.ts';
import { createRequestThread, type RequestThread, refuseFailure } from './threads/request-thread.ts';

export interface FitRequest {
  source: Pixels;
  rule: FitRule;
}

/** Images up to this size are fitted in this thread: that takes about a millisecond, and transferring them would cost as much. */
const MAX_INLINE_PIXELS = 500_000;

export interface FitThread {
  /**
   * Like `fitPixels`, but in another thread if the image is large. The source's buffer may be detached afterwards.
   * @throws InferqlError UNAVAILABLE or INTERNAL_SERVER_ERROR: decoded pixels are not at fault
   */
  fit(source: Pixels, rule: FitRule): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * @param path the thread's main file. @default fit-thread-main.js next to this module; if that file does not exist, everything runs in this thread
 */
export function createFitThread(path = fileURLToPath(new URL('./fit-thread-main.js', import.meta.url))): FitThread {
  const isBuilt = existsSync(path);
  const thread = createRequestThread<FitRequest, Uint8Array>(path);
  return {
    async fit(source, rule) {
      if (isBuilt && source.width * source.height > MAX_INLINE_PIXELS) return post(thread, { source, rule });
      const { fitPixels } = await import('./fit-pixels.ts');
      try {
        return fitPixels(source, rule);
      } catch (error) {
        throw refuseFailure(error);
      }
    },
    close: thread.close,
  };
}

/** Transfers the pixels if their memory can be transferred, unlike some decoders' memory; copies them otherwise. */
function post(thread: RequestThread<FitRequest, Uint8Array>, request: FitRequest): Promise<Uint8Array> {
  const { data } = request.source;
  const isOwn = data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer;
  if (isOwn) {
    try {
      return thread.ask(request, [data.buffer as ArrayBuffer]);
    } catch (error) {
      if ((error as Error).name !== 'DataCloneError') throw error;
    }
  }
  return thread.ask(request);
}
