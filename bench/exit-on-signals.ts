import { constants } from 'node:os';

/** Exits on SIGINT, SIGTERM and SIGHUP, so that the processes that a benchmark has started end with it: each has a handler of 'exit'. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
}
