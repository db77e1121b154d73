import { Script } from 'node:vm';

const SLOT = Symbol.for('inferql.timeBudget');
const CALL = new Script("globalThis[Symbol.for('inferql.timeBudget')]()");
const holder = globalThis as { [SLOT]?: () => void };

/**
 * Calls a synchronous function, and interrupts it if it takes longer.
 * @throws Error if it takes longer; whatever it throws
 */
export function callWithin<Value>(limitMs: number, call: () => Value): Value {
  let value: { is: Value } | undefined;
  holder[SLOT] = () => {
    value = { is: call() };
  };
  try {
    CALL.runInThisContext({ timeout: limitMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Error(`it took longer than ${limitMs} ms`, { cause: error });
  } finally {
    delete holder[SLOT];
  }
  return value!.is;
}
