/** Keeps the bytes of an uploaded file until nobody needs them: small files in memory, others in a private file. */
import { finished } from 'node:stream/promises';
import { WriteStream } from 'graphql-upload-ts';
import { GrowingBuffer } from './growing-buffer.ts';

/** Most images of a web page or a phone's messenger are smaller. */
const MAX_FILE_IN_MEMORY_BYTES = 1024 * 1024;

/** What all files together may hold in memory; beyond it each goes to disk. */
export function createMemoryBudget(maxBytes: number) {
  let heldBytes = 0;
  return {
    /** @returns false if there is no room */
    take(bytes: number): boolean {
      if (heldBytes + bytes > maxBytes) return false;
      heldBytes += bytes;
      return true;
    },
    give(bytes: number): void {
      heldBytes -= bytes;
    },
    heldBytes: () => heldBytes,
  };
}

export type MemoryBudget = ReturnType<typeof createMemoryBudget>;

export type FileStores = ReturnType<typeof createFileStores>;

/**
 * The files of one server: those in memory share a budget, the others are in one folder.
 * @param uploadDir a folder that only this process uses
 */
export function createFileStores(memoryBytes: number, uploadDir: string) {
  const memory = createMemoryBudget(memoryBytes);
  return {
    memory,
    /** @param expectedBytes about the file's length; 0 if it is unknown. @default 0 */
    open: (expectedBytes = 0) => new FileStore(memory, uploadDir, expectedBytes),
  };
}

/** One file, written once and read as often as needed until it is freed. */
export class FileStore {
  readonly #memory: GrowingBuffer;
  readonly #uploadDir: string;
  #disk: WriteStream | undefined;
  #isFreed = false;
  readonly #whole: Promise<void>;
  #end!: () => void;
  #fail!: (error: unknown) => void;

  /**
   * @param uploadDir a folder that only this process uses
   * @param expectedBytes about the file's length, if it is known; 0 otherwise. @default 0
   */
  constructor(budget: MemoryBudget, uploadDir: string, expectedBytes = 0) {
    this.#memory = new GrowingBuffer(MAX_FILE_IN_MEMORY_BYTES, budget, expectedBytes);
    this.#uploadDir = uploadDir;
    this.#whole = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // The failure of a file that no argument uses must not be an unhandled rejection.
    this.#whole.catch(() => undefined);
  }

  /** @returns a promise if the disk has to catch up before more is written */
  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#isFreed) return undefined;
    if (!this.#disk) {
      if (this.#memory.add(chunk)) return undefined;
      this.#spill();
    }
    const disk = this.#disk!;
    if (disk.write(chunk) || disk.destroyed) return undefined;
    return new Promise<void>((resolve) => {
      const goOn = () => {
        disk.off('drain', goOn).off('close', goOn);
        resolve();
      };
      // A file that is freed meanwhile never emits `drain`.
      disk.on('drain', goOn).on('close', goOn);
    });
  }

  #spill(): void {
    const disk = new WriteStream({ tmpdir: () => this.#uploadDir });
    disk.on('error', (error) => this.fail(error));
    this.#disk = disk;
    const begun = this.#memory.bytes();
    if (begun.length > 0) disk.write(begun);
    this.#memory.free();
  }

  /** The whole file was written. */
  end(): void {
    if (!this.#disk) {
      this.#memory.trim();
      this.#end();
    } else finished(this.#disk.end(), { readable: false }).then(this.#end, this.#fail);
  }

  /** The rest of the file will not arrive; what has arrived is dropped. */
  fail(error: unknown): void {
    this.#fail(error);
    this.free();
  }

  /** Resolves once the whole file was written. @throws what `fail` was given, or the system's error of the disk */
  arrived(): Promise<void> {
    return this.#whole;
  }

  async readBytes(): Promise<Buffer> {
    await this.#whole;
    if (this.#isFreed) throw new Error('the file was released before');
    if (!this.#disk) return this.#memory.bytes();
    const chunks: Buffer[] = [];
    for await (const chunk of this.#disk.createReadStream()) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  /** Frees memory and disk. May be called twice. */
  free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    this.#memory.free();
    this.#disk?.release();
  }
}
