import type { ChildProcess } from 'node:child_process';

const MAX_LINE_LENGTH = 500;
const KEPT_LENGTH = 8_192;

export interface Output {
  /** The end of what was printed. */
  last(): string;
  /** Passes on each line from now on. */
  show(onLine: (line: string) => void): void;
}

/** Keeps the end of what a process prints, however much that is. */
export function collectOutput({ stdout, stderr }: ChildProcess): Output {
  let last = '';
  let onLine: ((line: string) => void) | undefined;
  for (const stream of [stdout, stderr]) {
    let line = '';
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      last = `${last}${chunk}`.slice(-KEPT_LENGTH);
      const lines = `${line}${chunk}`.split('\n');
      line = (lines.pop() ?? '').slice(0, MAX_LINE_LENGTH);
      for (const text of lines) onLine?.(text.slice(0, MAX_LINE_LENGTH));
    });
  }
  return {
    last: () => last,
    show(show) {
      onLine = show;
    },
  };
}
