/** Counts requests, so that a server closes only after their responses. */
export class RequestsInProgress {
  #count = 0;
  #onIdle: (() => void) | undefined;

  /** @returns call it once, when the response is complete */
  begin(): () => void {
    this.#count++;
    return () => {
      this.#count--;
      if (this.#count === 0) this.#onIdle?.();
    };
  }

  /** Resolves when there is none, or at the limit. */
  async whenEnded(limitMs: number): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
