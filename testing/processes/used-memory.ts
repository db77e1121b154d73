import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that this process uses in V8's heap and for buffers, after a collection of garbage. */
function usedBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * Starts a measurement of what this process keeps.
 * @returns the bytes that are in use more than now. V8 frees buffers in the background, so a test polls this function until it is low enough:
 * what is kept never becomes less.
 */
export function measureKeptBytes(): () => number {
  const before = usedBytes();
  return () => usedBytes() - before;
}

/** Counts which of the objects that were made are still in memory. */
export class LiveObjects {
  readonly #objects: WeakRef<object>[] = [];

  add<T extends object>(object: T): T {
    this.#objects.push(new WeakRef(object));
    return object;
  }

  /** How many are left after a collection of garbage. Poll it: what was used in this turn of the event loop is counted too. */
  count(): number {
    collectGarbage();
    return this.#objects.filter((object) => object.deref()).length;
  }
}
