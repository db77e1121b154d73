import type { SharedUpload } from './upload-time-limit.ts';

/**
 * Ends a request whose server is silent for too long: while it is sent, longer than its upload may take; later, longer than each
 * call of {@link expectMore} allows.
 */
export class SilenceLimit {
  /** Aborted by the silence, or by the caller's own signal. */
  readonly signal: AbortSignal;
  readonly #upload: SharedUpload;
  readonly #silence = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(upload: SharedUpload, signal: AbortSignal | undefined) {
    this.#upload = upload;
    this.signal = signal ? AbortSignal.any([signal, this.#silence.signal]) : this.#silence.signal;
    this.#expectResponse();
  }

  #expectResponse(): void {
    const leftMs = this.#upload.leftMs();
    if (leftMs <= 0) this.#silence.abort();
    else this.#timer = setTimeout(() => this.#expectResponse(), leftMs);
  }

  /** From now on something must come within this time. */
  expectMore(withinMs: number): void {
    this.pause();
    this.#timer = setTimeout(() => this.#silence.abort(), withinMs);
  }

  /** Nothing is expected until the next {@link expectMore}. */
  pause(): void {
    clearTimeout(this.#timer);
  }
}
