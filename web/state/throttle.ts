/**
 * Calls back at once, then at most once per interval; the last call of a burst is never dropped.
 * @param intervalMs the shortest time between two calls
 */
export function createThrottle(callback: () => void, intervalMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDue = false;
  const call = () => {
    timer = setTimeout(() => {
      timer = undefined;
      if (isDue) call();
    }, intervalMs);
    isDue = false;
    callback();
  };
  return () => {
    isDue = true;
    if (timer === undefined) call();
  };
}
