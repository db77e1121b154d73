/** Reads images one at a time from a source that may wait for its next one without end, such as one that watches a folder. */
export interface ImageSource<Image> {
  /** The next image. Rejects with the signal's reason, even while the source waits for one. */
  next(): Promise<IteratorResult<Image>>;
  /** Ends the source, without waiting for its next image. */
  close(): Promise<void>;
}

/** @param signal ends the wait for an image */
export function openImageSource<Image>(
  images: Iterable<Image> | AsyncIterable<Image>,
  signal: AbortSignal,
): ImageSource<Image> {
  const iterator = Symbol.asyncIterator in images ? images[Symbol.asyncIterator]() : images[Symbol.iterator]();
  let isWaiting = false;
  return {
    async next() {
      signal.throwIfAborted();
      isWaiting = true;
      let leave = () => {};
      const left = new Promise<never>((_resolve, reject) => {
        leave = () => reject(signal.reason);
        signal.addEventListener('abort', leave, { once: true });
      });
      const next = (async () => {
        try {
          return await iterator.next();
        } finally {
          isWaiting = false;
        }
      })();
      try {
        return await Promise.race([next, left]);
      } finally {
        signal.removeEventListener('abort', leave);
      }
    },
    async close() {
      if (!isWaiting) {
        await iterator.return?.();
        return;
      }
      // An async generator returns only when it has its next image. Nobody waits for that, nor for how it ends.
      void Promise.resolve(iterator.return?.()).catch(() => {});
    },
  };
}
