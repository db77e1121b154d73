/** The signals that end this process. A terminal, npm and a shell may all pass on the same Ctrl-C: within a second they count as one. */
const SAME_SIGNAL_MS = 1_000;

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** Calls `onStop(count, signal)` for each request to stop: 1 for the first, 2 for one that came clearly later, and so on. */
export function listenForStop(onStop: (count: number, signal: StopSignal) => void): void {
  let count = 0;
  let lastAt = Number.NEGATIVE_INFINITY;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const now = performance.now();
      const isEcho = now - lastAt < SAME_SIGNAL_MS;
      lastAt = now;
      if (isEcho) return;
      count++;
      onStop(count, signal);
    });
  }
}
