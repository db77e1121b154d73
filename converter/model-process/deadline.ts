interface Lateness {
  /** A timer that fires this late means that this process or the machine was stopped, not that the other side hangs. */
  lateMs: number;
  /** The time that the other side then still has: its answer may be there already, unread. */
  afterLateMs: number;
}
/** A longer timer fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Calls `onLimit` after a time, in which a stop of this process or of the machine does not count. */
export function startDeadline(
  limitMs: number,
  onLimit: () => void,
  { lateMs, afterLateMs }: Lateness = { lateMs: 1_000, afterLateMs: 5_000 },
): { clear(): void } {
  const start = (waitMs: number): NodeJS.Timeout => {
    const dueMs = performance.now() + waitMs;
    return setTimeout(() => {
      if (performance.now() - dueMs > lateMs) timer = start(afterLateMs);
      else onLimit();
    }, waitMs);
  };
  let timer = start(Math.min(limitMs, MAX_TIMER_MS));
  return { clear: () => clearTimeout(timer) };
}
