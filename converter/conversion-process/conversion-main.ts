/** Converts one model and ends. It also ends with the process that started it. */
import os from 'node:os';
import { endWithParent } from '../child-process/end-with-parent.ts';
import { beKilledFirst } from '../child-process/first-killed.ts';
import { ModelError } from '../errors.ts';
import { type Conversion, convertHere } from './conversion.ts';
import type { ConversionFailure, FromConversion } from './protocol.ts';

/** Models that are served come first. */
const NICENESS = 10;

async function answer(conversion: Conversion): Promise<FromConversion> {
  try {
    return { type: 'converted', stamp: await convertHere(conversion) };
  } catch (error) {
    return { type: 'failed', failure: describeFailure(error) };
  }
}

function describeFailure(error: unknown): ConversionFailure {
  if (!(error instanceof Error)) return { isModelError: false, message: String(error) };
  const { message, stack, code } = error as NodeJS.ErrnoException;
  return { isModelError: error instanceof ModelError, message, stack, ...(typeof code === 'string' && { code }) };
}

function yieldToOthers(): void {
  try {
    // Only root may have a higher priority again.
    if (os.getPriority() < NICENESS) os.setPriority(NICENESS);
  } catch {
    // A sandbox forbids it: slower for others, but right.
  }
}

yieldToOthers();
beKilledFirst();
endWithParent();
// Ctrl-C reaches the whole process group; the process that waits for the result decides.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.once('disconnect', () => process.exit(0));
process.once('message', async (conversion: Conversion) => {
  const result = await answer(conversion);
  if (process.connected) process.send?.(result, () => process.disconnect?.());
});
