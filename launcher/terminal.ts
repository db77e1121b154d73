/** Progress output of the setup: one live line on a terminal, otherwise a few plain lines. */
import { describeSystemError } from './system-errors.mjs';

const SHOW_AFTER_MS = 1_000;
const REPEAT_PLAIN_MS = 10_000;

/** A reader may leave (`npm start | head`), which must not end this process. Call it in programs, not in libraries. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

const isTerminal = process.stdout.isTTY === true;
let liveLine = '';

/** Writes a line to standard output. */
export function print(text = ''): void {
  clearLiveLine();
  process.stdout.write(`${text}\n`);
  drawLiveLine(liveLine);
}

/** Writes a line to standard error. */
export function printError(text: string): void {
  clearLiveLine();
  process.stderr.write(`${text}\n`);
  drawLiveLine(liveLine);
}

function clearLiveLine(): void {
  if (isTerminal && liveLine) process.stdout.write('\r\x1b[K');
}

function drawLiveLine(text: string): void {
  if (isTerminal && text) process.stdout.write(text.slice(0, (process.stdout.columns || 80) - 1));
}

/**
 * Shows a step that may take long. A step that ends within a second is not mentioned.
 * @param title the step's title, for example 'Installing packages'
 */
export async function showStep<T>(title: string, work: () => Promise<T>): Promise<T> {
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  let shown = false;
  let lastPlainAt = startedAt;
  const tick = setInterval(() => {
    if (Date.now() - startedAt < SHOW_AFTER_MS) return;
    if (isTerminal) {
      clearLiveLine();
      liveLine = `  … ${title}, ${seconds()} s`;
      drawLiveLine(liveLine);
    } else if (!shown) {
      process.stdout.write(`  … ${title}\n`);
    } else if (Date.now() - lastPlainAt >= REPEAT_PLAIN_MS) {
      lastPlainAt = Date.now();
      process.stdout.write(`  … ${title}, ${seconds()} s\n`);
    }
    shown = true;
  }, 250);
  const settle = () => {
    clearInterval(tick);
    clearLiveLine();
    liveLine = '';
  };
  try {
    const result = await work();
    settle();
    if (shown) print(`  ✓ ${title}, ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
    return result;
  } catch (error) {
    settle();
    throw error;
  }
}

/** A failure whose message is for the user: it is shown without a stack. */
export class SetupError extends Error {}

/** The text of a failure for the user. A full disk or a read-only folder needs no stack either. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('syscall' in error) return describeSystemError(error as NodeJS.ErrnoException);
  const isExplained = error instanceof SetupError || error.name === 'InvalidConfigurationError';
  return isExplained ? error.message : (error.stack ?? error.message);
}
