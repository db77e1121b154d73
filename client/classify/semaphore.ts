/** Lets a bounded number of callers proceed at the same time; the others wait, first come, first served. */
export interface Semaphore {
  /** Resolves with the function that lets the next one proceed; rejects with the signal's reason. */
  acquire(signal: AbortSignal | undefined): Promise<() => void>;
}

/** @param count how many may proceed at the same time; Infinity: all */
export function createSemaphore(count: number): Semaphore {
  const waiting: (() => void)[] = [];
  let free = count;
  const release = () => {
    const next = waiting.shift();
    if (next) next();
    else free++;
  };
  const once = (callback: () => void) => {
    let called = false;
    return () => {
      if (!called) callback();
      called = true;
    };
  };
  return {
    async acquire(signal) {
      signal?.throwIfAborted();
      if (free > 0) {
        free--;
        return once(release);
      }
      await new Promise<void>((resolve, reject) => {
        const leave = () => {
          waiting.splice(waiting.indexOf(enter), 1);
          reject(signal?.reason);
        };
        const enter = () => {
          signal?.removeEventListener('abort', leave);
          resolve();
        };
        signal?.addEventListener('abort', leave, { once: true });
        waiting.push(enter);
      });
      return once(release);
    },
  };
}
