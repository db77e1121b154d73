/** The first allocation; it doubles as more arrives. */
const FIRST_BYTES = 4 * 1024;

/** Asked before memory is allocated. */
interface Budget {
  take(bytes: number): boolean;
  give(bytes: number): void;
}

const UNLIMITED: Budget = { take: () => true, give: () => undefined };

/**
 * Joins chunks as they arrive. Each is copied, because a client decides how large they are: a list of chunks of one byte takes a hundred
 * times the memory of its bytes, and a small part of a large chunk keeps all of it.
 */
export class GrowingBuffer {
  readonly #maxBytes: number;
  readonly #budget: Budget;
  #memory = Buffer.alloc(0);
  #length = 0;

  /**
   * @param maxBytes more than this is never taken
   * @param budget asked for each allocation. @default without limit
   */
  constructor(maxBytes: number, budget = UNLIMITED) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** @returns false if the chunk does not fit; nothing of it was taken */
  add(chunk: Uint8Array): boolean {
    const length = this.#length + chunk.length;
    if (length > this.#maxBytes || !this.#reserve(length)) return false;
    this.#memory.set(chunk, this.#length);
    this.#length = length;
    return true;
  }

  /** What was added, without a copy; valid after more is added or all is freed. */
  bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  /** No more will be added: memory beyond the bytes is given back. */
  trim(): void {
    const unused = this.#memory.length - this.#length;
    if (unused === 0) return;
    this.#resize(this.#length);
    this.#budget.give(unused);
  }

  /** Gives the memory back, and begins with nothing. */
  free(): void {
    this.#budget.give(this.#memory.length);
    this.#memory = Buffer.alloc(0);
    this.#length = 0;
  }

  #reserve(length: number): boolean {
    const present = this.#memory.length;
    if (length <= present) return true;
    const size = Math.min(this.#maxBytes, Math.max(FIRST_BYTES, 2 * present, length));
    if (!this.#budget.take(size - present)) return false;
    this.#resize(size);
    return true;
  }

  #resize(bytes: number): void {
    // Not from the pool, which other bytes would keep.
    const memory = Buffer.allocUnsafeSlow(bytes);
    memory.set(this.bytes());
    this.#memory = memory;
  }
}
