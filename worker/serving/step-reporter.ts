import type { Logger } from 'pino';

export type StepReporter = ReturnType<typeof createStepReporter>;

/** Logs the first failure of each step, and that it works again, instead of one line per try while Redis is unavailable. */
export function createStepReporter(log: Logger) {
  const failing = new Set<string>();
  const report = (name: string, error: unknown) => {
    if (failing.has(name)) return;
    failing.add(name);
    log.warn({ err: error, step: name }, 'queue step failed; retrying');
  };
  report.clear = (name: string) => {
    if (failing.delete(name)) log.info({ step: name }, 'queue step succeeded again');
  };
  return report;
}
