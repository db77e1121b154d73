/**
 * Lets at most `limit` tasks run at once; the others wait in the order they came.
 * @returns runs a task when its turn has come; throws the signal's reason if it aborts before
 */
export function createSemaphore(limit: number) {
  let running = 0;
  const waiting: (() => void)[] = [];

  function enter(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (running < limit) {
        running++;
        return resolve();
      }
      const take = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(take), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', leave, { once: true });
      waiting.push(take);
    });
  }

  return async function run<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    await enter(signal);
    try {
      return await task();
    } finally {
      // The place is handed over, so that nobody who comes in between takes it.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
