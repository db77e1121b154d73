import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const RESET = '/proc/self/clear_refs';

/** Starts a measurement of the process's largest resident memory. */
export function resetPeak(): void {
  if (existsSync(RESET)) writeFileSync(RESET, '5');
}

/** The largest resident memory since `resetPeak`; undefined if the system does not report it. */
export function peakMegabytes(): number | undefined {
  if (!existsSync(RESET)) return undefined;
  const kibibytes = /VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return kibibytes === undefined ? undefined : Math.round((Number(kibibytes) * 1024) / 1_000_000);
}
