import type { CallOptions } from '../client-types.ts';
import { InferqlError } from '../errors.ts';
import { retryDelayMs } from './retry-delays.ts';

/** Counts the failures of one request, and waits between attempts as long as the server asks, otherwise increasingly longer. */
export class RetryClock {
  readonly #options: CallOptions;
  #failedAtMs: number | undefined;
  #failures = 0;

  constructor(options: CallOptions) {
    this.#options = options;
  }

  /** Reports a success, which resets the count of failures. */
  reset(): void {
    this.#failedAtMs = undefined;
    this.#failures = 0;
  }

  /**
   * Reports a failure.
   * @returns how long to wait before the next attempt, in milliseconds
   * @throws the error if a retry cannot help or would be too late; the signal's reason once it is aborted
   */
  fail(error: unknown): number {
    const { signal, retryForMs = 0, onRetry } = this.#options;
    signal?.throwIfAborted();
    if (!(error instanceof InferqlError)) throw error;
    const budgetMs = typeof retryForMs === 'function' ? retryForMs(error) : error.retryable ? retryForMs : 0;
    const isEndless = budgetMs === Number.POSITIVE_INFINITY;
    const nowMs = performance.now();
    // Failures that are retried without a limit do not use up the time of others.
    this.#failedAtMs = isEndless ? undefined : (this.#failedAtMs ?? nowMs);
    const delayMs = retryDelayMs(this.#failures++, error.retryAfterMs, isEndless);
    if (nowMs + delayMs - (this.#failedAtMs ?? nowMs) > budgetMs) throw error;
    onRetry?.(error);
    return delayMs;
  }

  /**
   * Resolves when it is time to try again.
   * @throws as {@link fail} does
   */
  async waitAfter(error: unknown): Promise<void> {
    await delay(this.fail(error), this.#options.signal);
  }
}

/** Runs `attempt` until it succeeds or a retry makes no sense. */
export async function withRetries<T>(options: CallOptions, attempt: () => Promise<T>): Promise<T> {
  const clock = new RetryClock(options);
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
    // A listener of the error may have aborted it.
    if (signal?.aborted) return reject(signal.reason);
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
