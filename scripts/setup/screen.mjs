// What a person sees. On a terminal a running step is one line that counts its seconds; elsewhere it is plain lines.
const SHOW_AFTER_MS = 1_000;
const REPEAT_PLAIN_MS = 10_000;

// Whoever reads us may leave (`npm start | head`): that is no reason to die.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const isTerminal = process.stdout.isTTY === true;
let liveLine = '';

export function say(text = '') {
  clearLiveLine();
  process.stdout.write(`${text}\n`);
  drawLiveLine(liveLine);
}

export function complain(text) {
  clearLiveLine();
  process.stderr.write(`${text}\n`);
  drawLiveLine(liveLine);
}

function clearLiveLine() {
  if (isTerminal && liveLine) process.stdout.write('\r\x1b[K');
}

function drawLiveLine(text) {
  if (isTerminal && text) process.stdout.write(text.slice(0, (process.stdout.columns || 80) - 1));
}

/**
 * Shows a step that may take long; one that is done within a second is not mentioned unless `quick` is false.
 * @template T
 * @param {string} title what is being done, as in 'Installing packages'
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function showStep(title, work) {
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
    if (shown) say(`  ✓ ${title}, ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
    return result;
  } catch (error) {
    settle();
    throw error;
  }
}

/** A failure whose message is meant for the person at the keyboard: it is shown without a stack. */
export class SetupError extends Error {}

/** What a person is shown of a failure. A full disk or a folder that may not be written needs no stack either: its message says all. */
export function describeFailure(error) {
  return error instanceof SetupError || error.syscall ? error.message : error.stack;
}

/** Runs a whole command; a failure is told and ends the process with 1. */
export async function runCommand(work) {
  try {
    await work();
  } catch (error) {
    complain(`\n${describeFailure(error)}`);
    process.exit(1);
  }
}
