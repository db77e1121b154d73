/** A timer that fires this late means that this process or the machine was stopped, not that the other side hangs. */
const LATE_MS = 1_000;
const AFTER_LATE_MS = 5_000;
/** A longer timer fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Calls `onLimit` after a time, in which a stop of this process or of the machine does not count. */
export function startDeadline(limitMs: number, onLimit: () => void): { clear(): void } {
  const start = (waitMs: number): NodeJS.Timeout => {
    const dueMs = performance.now() + waitMs;
    return setTimeout(() => {
      // The answer may be there already, unread.
      if (performance.now() - dueMs > LATE_MS) timer = start(AFTER_LATE_MS);
      else onLimit();
    }, waitMs);
  };
  let timer = start(Math.min(limitMs, MAX_TIMER_MS));
  return { clear: () => clearTimeout(timer) };
}
