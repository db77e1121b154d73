/** With many watched predictions, positions are read less often: the interval is at least this many milliseconds for each. */
const POSITION_COST_MS = 0.5;

/** Decides when the queue positions of a model's watched predictions are read again: after each move of the queue, at a bounded rate. */
export class PositionUpdates {
  readonly #intervalMs: number;
  readonly #read: () => Promise<number>;
  #timer: NodeJS.Timeout | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** @param read returns how many positions it has read */
  constructor(intervalMs: number, read: () => Promise<number>) {
    this.#intervalMs = intervalMs;
    this.#read = read;
  }

  /** The positions after the last move are always read. */
  queueMoved(): void {
    if (this.#timer) return;
    const intervalMs = Math.max(this.#intervalMs, this.#count * POSITION_COST_MS);
    const delayMs = Math.max(0, this.#readAtMs + intervalMs - performance.now());
    this.#timer = setTimeout(async () => {
      this.#timer = undefined;
      this.#readAtMs = performance.now();
      this.#count = await this.#read();
    }, delayMs);
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
