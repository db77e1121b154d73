/** The first allocation; it doubles as more arrives. */
const FIRST_BYTES = 4 * 1024;
/** An announced length is believed once this part of it has arrived, so that an announcement alone takes no memory. */
const BELIEVED_PART = 1 / 4;
/** Memory that is kept beyond the bytes: giving back less than this part is not worth a copy. */
const KEPT_PART = 1 / 8;

/** Asked before memory is allocated. */
interface Budget {
  take(bytes: number): boolean;
  give(bytes: number): void;
}

const UNLIMITED: Budget = { take: () => true, give: () => undefined };

/**
 * Joins chunks as they arrive. They are copied, because a client decides how large they are: a list of chunks of one byte takes a hundred
 * times the memory of its bytes, and a small part of a large chunk keeps all of it. A first chunk that is most of its memory is kept.
 */
export class GrowingBuffer {
  /** More than this is never taken. */
  readonly maxBytes: number;
  readonly #budget: Budget;
  readonly #expectedBytes: number;
  #memory = Buffer.alloc(0);
  #length = 0;
  /** Bytes of the budget. */
  #taken = 0;

  /**
   * @param budget asked for each allocation. @default without limit
   * @param expectedBytes about as many will come, rather fewer; 0 if it is unknown. @default 0
   */
  constructor(maxBytes: number, budget = UNLIMITED, expectedBytes = 0) {
    this.maxBytes = maxBytes;
    this.#budget = budget;
    this.#expectedBytes = expectedBytes;
  }

  /** @returns false if the chunk does not fit; nothing of it was taken */
  add(chunk: Uint8Array): boolean {
    const length = this.#length + chunk.length;
    if (length > this.maxBytes) return false;
    const isMost = chunk.length >= FIRST_BYTES && 2 * chunk.length >= chunk.buffer.byteLength;
    // What is announced includes the form around a file.
    if (this.#taken === 0 && isMost && this.#expectFor(length + FIRST_BYTES) === 0) return this.#keep(chunk);
    if (!this.#reserve(length)) return false;
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
    if (this.#memory.length > this.#length * (1 + KEPT_PART)) this.#resize(this.#length);
  }

  /** Gives the memory back, and begins with nothing. */
  free(): void {
    this.#budget.give(this.#taken);
    this.#memory = Buffer.alloc(0);
    this.#length = 0;
    this.#taken = 0;
  }

  #keep(chunk: Uint8Array): boolean {
    const { buffer, byteOffset, byteLength } = chunk;
    if (!this.#budget.take(buffer.byteLength)) return false;
    this.#taken = buffer.byteLength;
    this.#memory = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
    this.#length = byteLength;
    return true;
  }

  /** The announced length, if it is more than what has arrived, and believed; else 0. */
  #expectFor(length: number): number {
    const expected = this.#expectedBytes;
    return expected > length && expected * BELIEVED_PART <= length ? expected : 0;
  }

  #reserve(length: number): boolean {
    const present = this.#memory.length;
    if (length <= present) return true;
    const size = Math.min(this.maxBytes, this.#expectFor(length) || Math.max(FIRST_BYTES, 2 * present, length));
    if (size > this.#taken && !this.#budget.take(size - this.#taken)) return false;
    this.#taken = Math.max(size, this.#taken);
    this.#resize(size);
    return true;
  }

  #resize(bytes: number): void {
    // Not from the pool, which other bytes would keep.
    const memory = Buffer.allocUnsafeSlow(bytes);
    memory.set(this.bytes());
    this.#memory = memory;
    if (this.#taken > bytes) this.#budget.give(this.#taken - bytes);
    this.#taken = bytes;
  }
}
