/**
 * Wakes whoever waits for a change. Check the condition, then call `wait()` without an await in between: no notification is lost then.
 */
export interface Bell {
  ring(): void;
  /** Resolves at the next notification, or after `limitMs`. */
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
