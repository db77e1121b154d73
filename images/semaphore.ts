export type Semaphore = ReturnType<typeof createSemaphore>;

/**
 * Lets at most `limit` tasks run at once. The others wait in the order they came. Groups are served round-robin, each with its oldest
 * task, so that a tenant that sends thousands of images does not delay another tenant's single one.
 * @returns a function that runs a task when its turn has come; throws the signal's reason if it aborts before
 */
export function createSemaphore(limit: number) {
  let running = 0;
  /** In the order of their turns; only groups with waiting tasks. */
  const waiting = new Map<string, (() => void)[]>();

  function takeNext(): (() => void) | undefined {
    const [turn] = waiting;
    if (!turn) return undefined;
    const [group, tasks] = turn;
    const next = tasks.shift();
    // After the others, for its next turn.
    waiting.delete(group);
    if (tasks.length > 0) waiting.set(group, tasks);
    return next;
  }

  function enter(signal: AbortSignal, group: string): Promise<void> {
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
        const tasks = waiting.get(group)!;
        tasks.splice(tasks.indexOf(take), 1);
        if (tasks.length === 0) waiting.delete(group);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', leave, { once: true });
      const tasks = waiting.get(group);
      if (tasks) tasks.push(take);
      else waiting.set(group, [take]);
    });
  }

  return async function run<T>(signal: AbortSignal, task: () => Promise<T>, group = ''): Promise<T> {
    await enter(signal, group);
    try {
      return await task();
    } finally {
      // The place is passed on directly, so that a task that comes in between cannot take it.
      const next = takeNext();
      if (next) next();
      else running--;
    }
  };
}
