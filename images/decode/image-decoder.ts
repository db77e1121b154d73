import { availableParallelism } from 'node:os';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { ImageFacts } from '../inspect/image-facts.ts';
import { inspectImage } from '../inspect/inspect.ts';
import { checkLimits, MAX_COST_MS } from '../inspect/refusals.ts';
import { decodeImage } from '../preprocess.ts';
import { estimateFit } from '../render-input.ts';
import { createSemaphore, type Semaphore } from '../semaphore.ts';
import { chooseDecodePlace, type DecodePlace } from './decode-place.ts';
import { DecoderPool } from './processes/decoder-pool.ts';
import { createMemoryBudget, type MemoryBudget } from './processes/memory-budget.ts';

/** From the arrival of a file until its pixels: after this, the caller gets a retryable error. */
const DECIDE_MS = 30_000;
/** Threads that Node has for files and decoders together. */
const DEFAULT_THREADS = 4;
/** Threads that medium images leave to files. */
const FILE_THREADS = 2;

export interface ImageSource {
  /** The whole file; may be called more than once. Waiting files are not read into memory. */
  read(): Promise<Buffer>;
  /** Aborted when the caller has gone. */
  signal: AbortSignal | undefined;
  /** The tenant: waiting tenants are served round-robin. @default one for all */
  tenant?: string;
}

export interface ImageDecoderOptions {
  maxPixels: number;
  /** Images that are read, inspected and, if they are small, decoded at once. */
  concurrency: number;
  memoryBytes: number;
  /** Threads that Node has for files and decoders. @default UV_THREADPOOL_SIZE */
  threads?: number;
  /** Processes for expensive images. @default half of the cores, at least one */
  processes?: number;
  /** The processes' main file. */
  processPath?: string | undefined;
}

/** An image that is not decoded at once, because that would take long. */
interface Postponed {
  place: Exclude<DecodePlace, 'quick'>;
  facts: ImageFacts;
  /** Memory for the file and for decoding it. */
  bytes: number;
}

/** Decodes images to a model's input, each when its turn has come and there is memory. */
export class ImageDecoder {
  readonly #options: ImageDecoderOptions;
  readonly #readInTurn: Semaphore;
  readonly #mediumInTurn: Semaphore;
  readonly #memory: MemoryBudget;
  readonly #pool: DecoderPool;

  constructor(options: ImageDecoderOptions) {
    const threads = options.threads ?? (Number(process.env.UV_THREADPOOL_SIZE) || DEFAULT_THREADS);
    this.#options = options;
    this.#readInTurn = createSemaphore(options.concurrency);
    this.#mediumInTurn = createSemaphore(Math.max(1, threads - FILE_THREADS));
    this.#memory = createMemoryBudget(options.memoryBytes);
    this.#pool = new DecoderPool({
      size: options.processes ?? Math.max(1, availableParallelism() >> 1),
      processPath: options.processPath,
    });
  }

  /**
   * Decodes a file to a model's input. Expensive images are decoded in processes that can be ended.
   * @returns uint8, height x width x channels, channels last
   * @throws InferqlError as `prepareImage`; UNAVAILABLE if it was not decoded within 30 seconds, or cannot be
   */
  async prepare(source: ImageSource, input: ServedModel['input']): Promise<Buffer> {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(refuseForNow(this.#pool.backlogMs())), DECIDE_MS);
    const onLeave = () => limit.abort(new InferqlError('UNAVAILABLE'));
    if (source.signal?.aborted) onLeave();
    source.signal?.addEventListener('abort', onLeave, { once: true });
    try {
      // Work on the threads of this process cannot be stopped, but its caller need not wait.
      return await Promise.race([this.#decode(source, input, limit.signal), rejectOnAbort(limit.signal)]);
    } finally {
      clearTimeout(timer);
      source.signal?.removeEventListener('abort', onLeave);
    }
  }

  /** Memory reserved by images that are being decoded. */
  usedBytes(): number {
    return this.#memory.usedBytes();
  }

  close(): void {
    this.#pool.close();
  }

  async #decode(source: ImageSource, input: ServedModel['input'], signal: AbortSignal): Promise<Buffer> {
    const begun = await this.#begin(source, input, signal);
    if (!('place' in begun)) return begun;
    return begun.place === 'medium'
      ? this.#decodeMedium(begun, source, input, signal)
      : this.#decodeIsolated(begun, source, input, signal);
  }

  /** Reads the file and decodes it if that is quick; otherwise it is read again when its turn has come. */
  async #begin(source: ImageSource, input: ServedModel['input'], signal: AbortSignal): Promise<Buffer | Postponed> {
    const { maxPixels, memoryBytes } = this.#options;
    return this.#readInTurn(
      signal,
      async () => {
        const file = await source.read();
        const facts = addFit(inspectImage(file), input);
        const bytes = facts.memoryBytes + file.length;
        checkLimits(facts, { maxPixels, maxCostMs: MAX_COST_MS, maxMemoryBytes: memoryBytes - file.length });
        const place = chooseDecodePlace(facts, file.length);
        if (place !== 'quick') return { place, facts, bytes };
        return this.#withMemory(bytes, signal, () => decodeImage(file, facts, input));
      },
      source.tenant,
    );
  }

  /** On the threads of this process, which leave some to files. */
  #decodeMedium({ facts, bytes }: Postponed, source: ImageSource, input: ServedModel['input'], signal: AbortSignal) {
    return this.#mediumInTurn(
      signal,
      () => this.#withMemory(bytes, signal, async () => decodeImage(await source.read(), facts, input)),
      source.tenant,
    );
  }

  /** In a process that can be ended. */
  #decodeIsolated({ facts, bytes }: Postponed, source: ImageSource, input: ServedModel['input'], signal: AbortSignal) {
    const backlogMs = this.#pool.backlogMs();
    if (backlogMs > DECIDE_MS) throw refuseForNow(backlogMs);
    const reserve = () => this.#memory.reserve(bytes, { isUrgent: false, signal });
    return this.#pool.decode({
      read: source.read,
      reserve,
      input,
      costMs: facts.costMs,
      memoryBytes: bytes,
      signal,
    });
  }

  async #withMemory<T>(bytes: number, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const release = await this.#memory.reserve(bytes, { isUrgent: true, signal });
    try {
      return await task();
    } finally {
      release();
    }
  }
}

/** The facts, with the cost of the steps after decoding. */
function addFit(facts: ImageFacts, input: ServedModel['input']): ImageFacts {
  const fit = estimateFit(facts, input);
  return { ...facts, costMs: facts.costMs + fit.costMs, memoryBytes: facts.memoryBytes + fit.memoryBytes };
}

function refuseForNow(backlogMs: number): InferqlError {
  const message = 'Too many large images are being decoded now. Try again a little later.';
  return new InferqlError('UNAVAILABLE', { message, retryAfterMs: Math.round(Math.min(60_000, 2_000 + backlogMs)) });
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
