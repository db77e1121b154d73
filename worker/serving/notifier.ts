/**
 * Wakes whoever waits for a change. Check the condition and then `wait()` without an await between: nothing can ring in between.
 */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, or after `limitMs`. */
  wait(limitMs?: number): Promise<void>;
}

export function createBell(): Bell {
  let listeners: (() => void)[] = [];
  return {
    ring() {
      const woken = listeners;
      listeners = [];
      for (const wake of woken) wake();
    },
    wait: (limitMs) =>
      new Promise((resolve) => {
        const timer = limitMs === undefined ? undefined : setTimeout(resolve, limitMs);
        listeners.push(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}
