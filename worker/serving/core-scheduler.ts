/** After this long, a run may hang: the next model begins beside it. */
const LONGEST_TURN_MS = 10_000;

/** Shares the cores among the models of one worker: one run at a time, and the model that has used the least time goes next. */
export interface CoreScheduler {
  /**
   * Resolves when `name` may run; call what it resolves to at the end of the run.
   * Time is charged as it passes, so that a slow model does not starve a fast one. A model that has more to run must ask for its
   * next turn before it ends this one; otherwise it is not considered when the next model is chosen.
   */
  take(name: string): Promise<() => void>;
}

interface Waiter {
  name: string;
  go: () => void;
}

export function createCoreScheduler(clock: () => number = () => performance.now()): CoreScheduler {
  const usedMs = new Map<string, number>();
  const waiting: Waiter[] = [];
  let running: string | undefined;
  /** The time that the running model had used when it began. A model that was idle starts from here: idle time earns no credit. */
  let levelMs = 0;
  const usedBy = ({ name }: Waiter) => usedMs.get(name) ?? 0;

  function begin(waiter: Waiter): void {
    running = waiter.name;
    levelMs = Math.max(levelMs, usedBy(waiter));
    waiter.go();
  }

  function end(name: string, tookMs: number): void {
    usedMs.set(name, (usedMs.get(name) ?? 0) + tookMs);
    running = undefined;
    if (waiting.length === 0) return;
    const least = waiting.reduce((best, waiter) => (usedBy(waiter) < usedBy(best) ? waiter : best));
    waiting.splice(waiting.indexOf(least), 1);
    begin(least);
  }

  return {
    take: (name) =>
      new Promise((resolve) => {
        // One that is running or waiting has used at least that.
        usedMs.set(name, Math.max(usedMs.get(name) ?? 0, levelMs));
        const go = () => {
          const startedAtMs = clock();
          let ended = false;
          const endOnce = () => {
            if (ended) return;
            ended = true;
            clearTimeout(timer);
            end(name, clock() - startedAtMs);
          };
          const timer = setTimeout(endOnce, LONGEST_TURN_MS);
          resolve(endOnce);
        };
        if (running === undefined) begin({ name, go });
        else waiting.push({ name, go });
      }),
  };
}
