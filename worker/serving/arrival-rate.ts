/** Longer pauses between jobs count as this many neighbor times, so that a burst after a quiet hour is noticed soon. */
const LONGEST_GAP = 4;
const GAP_WEIGHT = 0.3;

/** Whether jobs arrive so close together that it pays to wait for the next one. */
export class ArrivalRate {
  /** A job that comes within this time of another may share its batch. */
  readonly #neighbourMs: number;
  /** Moving average of the time between two jobs. */
  #gapMs: number;
  #lastMs: number | undefined;

  constructor(neighbourMs: number) {
    this.#neighbourMs = neighbourMs;
    this.#gapMs = neighbourMs * LONGEST_GAP;
  }

  /** Records that this many jobs have just arrived. */
  note(count: number): void {
    if (count === 0) return;
    const nowMs = performance.now();
    if (this.#lastMs !== undefined) {
      const gap = Math.min((nowMs - this.#lastMs) / count, this.#neighbourMs * LONGEST_GAP);
      this.#gapMs += (gap - this.#gapMs) * (1 - (1 - GAP_WEIGHT) ** count);
    }
    this.#lastMs = nowMs;
  }

  mayMoreCome(): boolean {
    return this.#gapMs <= this.#neighbourMs;
  }
}
