import { parentPort } from 'node:worker_threads';
import type { ThreadAnswer, ThreadRequest } from './request-thread.ts';

/** Answers the requests of `createRequestThread`, in a thread. Bytes whose memory is not shared with others are moved, not copied. */
export function serveRequests<Request>(answer: (request: Request) => Uint8Array | undefined): void {
  parentPort?.on('message', (request: ThreadRequest<Request>) => {
    const { id } = request;
    try {
      const bytes = answer(request);
      const isOwn = bytes !== undefined && bytes.buffer.byteLength === bytes.byteLength;
      const message: ThreadAnswer<Uint8Array | undefined> = { id, answer: bytes };
      parentPort?.postMessage(message, isOwn ? [bytes.buffer as ArrayBuffer] : []);
    } catch (error) {
      parentPort?.postMessage({ id, error: error as Error } satisfies ThreadAnswer<never>);
    }
  });
}
