import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { createSemaphore, type Semaphore } from '../../semaphore.ts';
import { DecoderProcess, ProcessEnded } from './decoder-process.ts';

/** Decoders leak a little memory, and the one for HEIC leaks more. */
const IMAGES_PER_PROCESS = 100;
const MAX_IDLE_BYTES = 400e6;
const MAX_IDLE_MS = 30_000;

/** One image for a process. */
export interface DecodeRequest {
  read(): Promise<Buffer>;
  /** Waits for memory when it is the image's turn. */
  reserve(): Promise<() => void>;
  input: ServedModel['input'];
  costMs: number;
  memoryBytes: number;
  signal: AbortSignal;
}

interface DecoderPoolOptions {
  /** How many processes at most. */
  size: number;
  /** The processes' main file. @default the one next to this file */
  processPath?: string | undefined;
}

/** Processes for expensive images. They start on demand, are replaced after some images, and end when idle. */
export class DecoderPool {
  readonly #size: number;
  readonly #processPath: string | undefined;
  readonly #inTurn: Semaphore;
  readonly #idle: DecoderProcess[] = [];
  #idleTimer: NodeJS.Timeout | undefined;
  #expectedMs = 0;

  constructor({ size, processPath }: DecoderPoolOptions) {
    this.#size = size;
    this.#processPath = processPath;
    this.#inTurn = createSemaphore(size);
  }

  /**
   * Decodes one image in a process, once one is free.
   * @returns the model's input, see `prepareImage`
   * @throws InferqlError; the signal's reason if it aborts, while waiting or decoding
   */
  async decode(request: DecodeRequest): Promise<Buffer> {
    this.#expectedMs += request.costMs;
    try {
      return await this.#inTurn(request.signal, async () => {
        const release = await request.reserve();
        try {
          return await this.#decodeTwice(request);
        } finally {
          release();
        }
      });
    } finally {
      this.#expectedMs -= request.costMs;
    }
  }

  /** Expected milliseconds until a further image's turn. */
  backlogMs(): number {
    return this.#expectedMs / this.#size;
  }

  close(): void {
    this.#endIdle();
  }

  async #decodeTwice(request: DecodeRequest): Promise<Buffer> {
    try {
      return await this.#decodeOnce(request);
    } catch (error) {
      if (!(error instanceof ProcessEnded)) throw error;
    }
    // A single failure may have other reasons, such as a full machine; the second one is the image's fault.
    return this.#decodeOnce(request).catch((error) => {
      throw error instanceof ProcessEnded ? new InferqlError('CORRUPT', { cause: error }) : error;
    });
  }

  async #decodeOnce({ read, input, memoryBytes, signal }: DecodeRequest): Promise<Buffer> {
    const file = await read();
    const process = this.#takeProcess();
    try {
      return await process.decode(file, input, { memoryBytes, signal });
    } finally {
      this.#giveBack(process);
    }
  }

  #takeProcess(): DecoderProcess {
    clearTimeout(this.#idleTimer);
    for (let process = this.#idle.pop(); process; process = this.#idle.pop()) if (process.isAlive) return process;
    return new DecoderProcess(this.#processPath);
  }

  #giveBack(process: DecoderProcess): void {
    if (!process.isAlive) return;
    if (process.images >= IMAGES_PER_PROCESS || process.rssBytes > MAX_IDLE_BYTES) {
      process.end();
      return;
    }
    this.#idle.push(process);
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => this.#endIdle(), MAX_IDLE_MS);
    this.#idleTimer.unref();
  }

  #endIdle(): void {
    for (const process of this.#idle.splice(0)) process.end();
  }
}
