import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';

const LAST_LINES = 20;
/** A process that the engine left behind may keep its output open: the lines are no longer waited for. */
const LAST_LINES_WAIT_MS = 1_000;

/** The engine's output is not part of our log: it is kept for a report of its end, and logged at level debug. */
export function collectLines(child: ChildProcess, log: Logger): { last(): Promise<string[]> } {
  const last: string[] = [];
  const readers = [child.stdout!, child.stderr!].map((stream) =>
    createInterface({ input: stream }).on('line', (line) => {
      last.push(line.slice(0, 500));
      if (last.length > LAST_LINES) last.shift();
      log.debug({ line }, 'engine output');
    }),
  );
  const allRead = Promise.all(readers.map((reader) => once(reader, 'close')));
  child.stdin!.on('error', () => {});
  return {
    last: async () => {
      await Promise.race([allRead, delay(LAST_LINES_WAIT_MS, undefined, { ref: false })]);
      return last;
    },
  };
}
