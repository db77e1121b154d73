import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createRequestThread } from '../threads/request-thread.ts';
import type { PrepareOptions, PrepareRequest } from './model-pixels.ts';

export interface DecodeThreads {
  /** Like `preparePlainJpeg`, in another thread. */
  prepare(file: Buffer, options: PrepareOptions): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/**
 * Threads that start when they are needed.
 * @param path their main file. @default decode-thread-main.js next to this module; if that file does not exist, everything runs in this thread
 */
export function createDecodeThreads(
  path = fileURLToPath(new URL('./decode-thread-main.js', import.meta.url)),
  size = availableParallelism(),
): DecodeThreads {
  const isBuilt = existsSync(path);
  const threads = Array.from({ length: size }, () => createRequestThread<PrepareRequest, Uint8Array | undefined>(path));
  return {
    async prepare(file, options) {
      // Where threads decode, this one does not load the decoder.
      if (!isBuilt) return (await import('./model-pixels.ts')).preparePlainJpeg(file, options);
      const thread = threads.reduce((best, other) => (other.pending() < best.pending() ? other : best));
      // A file may share its memory with others.
      const copy = new Uint8Array(file);
      return thread.ask({ file: copy, ...options }, [copy.buffer]);
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}
