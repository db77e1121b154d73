import { InferqlError } from '@inferql/queue/error-codes';

type StreamResult<T> = IteratorResult<T, undefined>;

/**
 * A stream of values for one reader: a slow reader gets the newest value and skips those in between. It is a class instead of
 * closures so that a server's thousands of subscriptions share its methods.
 */
export class LatestValueStream<T extends object> implements AsyncIterableIterator<T> {
  readonly #release: () => void;
  #onEnd: (() => void) | undefined;
  #pending: T | undefined;
  #ended = false;
  #failure: InferqlError | undefined;
  #waiting: { resolve(result: StreamResult<T>): void; reject(error: InferqlError): void } | undefined;

  /** @param release called once, when the stream ends from either side */
  constructor(release: () => void) {
    this.#release = release;
  }

  push(value: T): void {
    if (this.#ended) return;
    this.#pending = value;
    this.#answer();
  }

  /** Ends the stream. The last value is still delivered; then `failure` is thrown, if given. */
  end(failure?: InferqlError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#release();
    this.#onEnd?.();
    this.#onEnd = undefined;
    this.#answer();
  }

  /** Runs the task once, when the stream ends; at once if it has ended. */
  whenEnded(task: () => void): void {
    if (this.#ended) task();
    else this.#onEnd = task;
  }

  next(): Promise<StreamResult<T>> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#answer();
    });
  }

  async return(): Promise<StreamResult<T>> {
    this.#pending = undefined;
    this.#failure = undefined;
    this.end();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #answer(): void {
    const waiting = this.#waiting;
    if (!waiting || (!this.#pending && !this.#ended)) return;
    this.#waiting = undefined;
    if (this.#pending) {
      const value = this.#pending;
      this.#pending = undefined;
      waiting.resolve({ value, done: false });
    } else if (this.#failure) {
      waiting.reject(this.#failure);
      this.#failure = undefined;
    } else waiting.resolve({ value: undefined, done: true });
  }
}

/** The error that ends subscriptions when the server shuts down: clients resume on another server. */
export function shuttingDown(): InferqlError {
  return new InferqlError('UNAVAILABLE', {
    message: 'This server is shutting down. Subscribe again.',
    retryAfterMs: 1_000,
  });
}
