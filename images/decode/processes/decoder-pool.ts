import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { DecoderProcess, ProcessEnded } from './decoder-process.ts';
import { createSemaphore } from './semaphore.ts';

/** Decoders leak a little memory, and the one for HEIC leaks more. */
const IMAGES_PER_PROCESS = 100;
const MAX_IDLE_BYTES = 400e6;
const MAX_IDLE_MS = 30_000;

export interface DecoderPool {
  /**
   * Decodes one image in a process, once one is free.
   * @throws InferqlError; the signal's reason if it aborts, while waiting or decoding
   */
  decode(options: {
    read(): Promise<Buffer>;
    /** Waits for memory when it is the image's turn. */
    reserve(): Promise<() => void>;
    input: ServedModel['input'];
    costMs: number;
    memoryBytes: number;
    signal: AbortSignal;
  }): Promise<Buffer>;
  /** Expected milliseconds until a further image's turn. */
  backlogMs(): number;
  close(): void;
}

/**
 * Processes for expensive images. They start on demand, are replaced after some images, and end when idle.
 * @param size how many processes at most
 */
export function createDecoderPool({
  size,
  processPath,
}: {
  size: number;
  processPath?: string | undefined;
}): DecoderPool {
  const inTurn = createSemaphore(size);
  const idle: DecoderProcess[] = [];
  let expectedMs = 0;
  let idleTimer: NodeJS.Timeout | undefined;

  function take(): DecoderProcess {
    clearTimeout(idleTimer);
    for (let process = idle.pop(); process; process = idle.pop()) if (process.isAlive) return process;
    return new DecoderProcess(processPath);
  }

  function giveBack(process: DecoderProcess): void {
    if (!process.isAlive) return;
    if (process.images >= IMAGES_PER_PROCESS || process.rssBytes > MAX_IDLE_BYTES) {
      process.end();
      return;
    }
    idle.push(process);
    clearTimeout(idleTimer);
    idleTimer = setTimeout(endIdle, MAX_IDLE_MS);
    idleTimer.unref();
  }

  function endIdle(): void {
    for (const process of idle.splice(0)) process.end();
  }

  async function decodeOnce({
    read,
    input,
    memoryBytes,
    signal,
  }: Parameters<DecoderPool['decode']>[0]): Promise<Buffer> {
    const file = await read();
    const process = take();
    try {
      return await process.decode(file, input, { memoryBytes, signal });
    } finally {
      giveBack(process);
    }
  }

  async function decodeTwice(request: Parameters<DecoderPool['decode']>[0]): Promise<Buffer> {
    try {
      return await decodeOnce(request);
    } catch (error) {
      if (!(error instanceof ProcessEnded)) throw error;
    }
    // A single failure may have other reasons, such as a full machine; the second one is the image's fault.
    return decodeOnce(request).catch((error) => {
      throw error instanceof ProcessEnded ? new InferqlError('CORRUPT', { cause: error }) : error;
    });
  }

  return {
    async decode(request) {
      expectedMs += request.costMs;
      try {
        return await inTurn(request.signal, async () => {
          const release = await request.reserve();
          try {
            return await decodeTwice(request);
          } finally {
            release();
          }
        });
      } finally {
        expectedMs -= request.costMs;
      }
    },
    backlogMs: () => expectedMs / size,
    close: endIdle,
  };
}
