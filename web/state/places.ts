/** Gives out a bounded number of places, first come, first served. */
export interface Places {
  /** Resolves with the way to give the place back; rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<() => void>;
}

/** @param count how many places there are */
export function createPlaces(count: number): Places {
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
    async take(signal) {
      signal.throwIfAborted();
      if (free > 0) {
        free--;
        return once(release);
      }
      await new Promise<void>((resolve, reject) => {
        const leave = () => {
          waiting.splice(waiting.indexOf(enter), 1);
          reject(signal.reason);
        };
        const enter = () => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        signal.addEventListener('abort', leave, { once: true });
        waiting.push(enter);
      });
      return once(release);
    },
  };
}
