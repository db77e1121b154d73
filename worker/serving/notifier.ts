/**
 * Wakes those that wait for a change. Check the condition, then call `wait()` without an await in between: no notification is lost then.
 */
export interface Notifier {
  notify(): void;
  /** Resolves at the next notification, or after `limitMs`. */
  wait(limitMs?: number): Promise<void>;
}

export function createNotifier(): Notifier {
  let listeners: (() => void)[] = [];
  return {
    notify() {
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
