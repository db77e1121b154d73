import type { Registry } from '@inferql/queue/registry';

/** Lists of this many model versions are cached; the longest take about a megabyte. */
const KEPT_LISTS = 8;

/** The class names of models, read on demand. */
export function createClassNames(registry: Pick<Registry, 'readLabels'>) {
  const known = new Map<string, Promise<string[] | null>>();

  /** @returns null if no worker has announced them */
  return async function readClassNames(model: string, version: string): Promise<string[] | null> {
    const key = `${model} ${version}`;
    const before = known.get(key);
    if (before) {
      // The most recently used list is evicted last.
      known.delete(key);
      known.set(key, before);
      return before;
    }
    const reading = registry.readLabels(model, version);
    known.set(key, reading);
    for (const oldest of [...known.keys()].slice(0, -KEPT_LISTS)) known.delete(oldest);
    const drop = () => known.get(key) === reading && known.delete(key);
    reading.then((labels) => labels ?? drop(), drop);
    return reading;
  };
}
