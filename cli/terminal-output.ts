import { BAR_WIDTH, formatBar, formatDuration } from './terminal-text.ts';

/** Results go to stdout, everything else to stderr, so that results can be piped. */
export interface Screen {
  /** A line of results. */
  print(line: string): void;
  /** A line for people. */
  note(line: string): void;
  /** Redraws the bar, which is shown only on terminals. */
  showProgress(progress: { done: number; failed: number; total: number }): void;
  /** Removes the bar. */
  clearProgress(): void;
}

const REDRAW_MS = 100;

export function createScreen(out: NodeJS.WriteStream, err: NodeJS.WriteStream): Screen {
  const beganMs = performance.now();
  let bar = '';
  let drawnMs = Number.NEGATIVE_INFINITY;
  const eraseBar = () => {
    if (bar) err.write('\r\u001b[K');
  };
  const drawBar = () => {
    if (bar) err.write(bar);
  };
  return {
    print(line) {
      if (out.isTTY) eraseBar();
      out.write(`${line}\n`);
      if (out.isTTY) drawBar();
    },
    note(line) {
      eraseBar();
      err.write(`${line}\n`);
      drawBar();
    },
    showProgress({ done, failed, total }) {
      const nowMs = performance.now();
      if (!err.isTTY || nowMs - drawnMs < REDRAW_MS) return;
      drawnMs = nowMs;
      const elapsedMs = nowMs - beganMs;
      const rate = done / (elapsedMs / 1_000);
      const left = done > 0 ? `, ${formatDuration((elapsedMs / done) * (total - done))} left` : '';
      const failures = failed > 0 ? `, ${failed} failed` : '';
      eraseBar();
      const line = `${formatBar(done / total).padEnd(BAR_WIDTH, '·')} ${done}/${total}${failures}, ${rate.toFixed(1)}/s${left}`;
      // A wrapped line could not be removed again.
      bar = line.slice(0, (err.columns || 80) - 1);
      drawBar();
    },
    clearProgress() {
      eraseBar();
      bar = '';
    },
  };
}
