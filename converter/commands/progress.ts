import type { PrepareProgress } from '../prepared-model.ts';

/** Prints one line per step, and one per tenth of a download. */
export function createProgressPrinter(print: (line: string) => void): (progress: PrepareProgress) => void {
  let printed = '';
  return ({ step, message, doneBytes, totalBytes }) => {
    const line = `${step === 'ready' ? '' : '… '}${message}${describeBytes(doneBytes, totalBytes)}`;
    if (line === printed) return;
    printed = line;
    print(line);
  };
}

function describeBytes(doneBytes: number | undefined, totalBytes: number | undefined): string {
  if (doneBytes === undefined) return '';
  return totalBytes
    ? `: ${Math.floor((doneBytes / totalBytes) * 10) * 10}%`
    : `: ${Math.floor(doneBytes / 1e7) * 10} MB`;
}
