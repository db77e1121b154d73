import { InferqlError } from './errors.ts';

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;

/** Counts the failures of one request, and waits between two tries as long as the server asks, or a growing time. */
export class RetryClock {
  readonly #retryForMs: number;
  readonly #signal: AbortSignal | undefined;
  #failedAtMs: number | undefined;
  #failures = 0;

  /** @param retryForMs how long to retry after the first failure */
  constructor(retryForMs: number, signal: AbortSignal | undefined) {
    this.#retryForMs = retryForMs;
    this.#signal = signal;
  }

  /** Reports a success: the next failure is the first one again. */
  reset(): void {
    this.#failedAtMs = undefined;
    this.#failures = 0;
  }

  /**
   * Resolves when it is time to try again.
   * @throws the error if a retry cannot help or would be too late; the signal's reason once it is aborted
   */
  async waitAfter(error: unknown): Promise<void> {
    this.#signal?.throwIfAborted();
    if (!(error instanceof InferqlError && error.retryable)) throw error;
    const nowMs = performance.now();
    this.#failedAtMs ??= nowMs;
    const grown = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    // Clients that lost the same server should not come back at the same time.
    const delayMs = error.retryAfterMs ?? grown * (0.5 + Math.random() / 2);
    if (nowMs + delayMs - this.#failedAtMs > this.#retryForMs) throw error;
    await delay(delayMs, this.#signal);
  }
}

/** Runs `attempt` until it succeeds or a retry makes no sense. */
export async function withRetries<T>(
  retryForMs: number,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const clock = new RetryClock(retryForMs, signal);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await clock.waitAfter(error);
    }
  }
}

function delay(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
