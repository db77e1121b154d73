/** Converts one model and ends. It also ends with the process that started it, at the latest when the conversion has ended. */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { ModelError } from '../errors.ts';
import { type Conversion, convertHere } from './conversion.ts';
import type { FromConversion } from './protocol.ts';

/** Models that are served come first. */
const NICENESS = 10;

async function answer(conversion: Conversion): Promise<FromConversion> {
  try {
    return { stamp: await convertHere(conversion) };
  } catch (error) {
    if (error instanceof ModelError) return { error: { code: error.code, message: error.message } };
    return { error: { message: error instanceof Error ? (error.stack ?? error.message) : String(error) } };
  }
}

os.setPriority(NICENESS);
try {
  // If memory runs out, Linux ends this process and not one that serves.
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // Other systems choose for themselves.
}
// Ctrl-C reaches the whole process group; the process that waits for the result decides.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.once('disconnect', () => process.exit(0));
process.once('message', async (conversion: Conversion) => {
  const result = await answer(conversion);
  if (process.connected) process.send?.(result, () => process.disconnect?.());
});
