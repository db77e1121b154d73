/** The models that could not be served: why, and when each is tried again. */

const FIRST_PAUSE_MS = 10_000;
const LAST_PAUSE_MS = 300_000;

interface Failure {
  reason: string;
  signature: string | undefined;
  pauseMs: number;
  retryAtMs: number;
}

/**
 * A model that cannot be served is tried again when its files have changed. The cause may be elsewhere, so that it is also tried again in any
 * case, but ever more rarely: an attempt may convert hundreds of megabytes, or end at the time limit of a run.
 */
export class FailedModels {
  readonly #failures = new Map<string, Failure>();
  readonly #clock: () => number;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  has(name: string): boolean {
    return this.#failures.has(name);
  }

  /** @param signature of the model's files now */
  mayRetry(name: string, signature: string | undefined): boolean {
    const failure = this.#failures.get(name);
    return !failure || failure.signature !== signature || this.#clock() >= failure.retryAtMs;
  }

  /**
   * @param signature of the model's files before the attempt; undefined if it is not known
   * @returns whether it failed for another reason than the last time
   */
  note(name: string, signature: string | undefined, reason: string): boolean {
    const before = this.#failures.get(name);
    const isSame = before !== undefined && before.signature === signature;
    const pauseMs = isSame ? Math.min(2 * before.pauseMs, LAST_PAUSE_MS) : FIRST_PAUSE_MS;
    this.#failures.set(name, { reason, signature, pauseMs, retryAtMs: this.#clock() + pauseMs });
    return before?.reason !== reason;
  }

  remove(name: string): void {
    this.#failures.delete(name);
  }

  /** Removes models that are not in the repository anymore. */
  keep(names: readonly string[]): void {
    for (const name of this.#failures.keys()) if (!names.includes(name)) this.#failures.delete(name);
  }
}
