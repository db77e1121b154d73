import type { Registry } from '@inferql/queue/models/registry';

/** Lists of this many model versions are cached; the longest take about a megabyte. */
const KEPT_LISTS = 8;

export type ClassNames = ReturnType<typeof createClassNames>;

/** The class names of models, read on demand. */
export function createClassNames(registry: Pick<Registry, 'readLabels' | 'readHeadLabels'>) {
  return {
    /** @returns null if no worker has registered them */
    ofModel: keepLists((model, version) => registry.readLabels(model, version)),
    /** By further head. @returns null if no worker has registered them */
    ofHeads: keepLists((model, version) => registry.readHeadLabels(model, version)),
  };
}

function keepLists<Lists>(read: (model: string, version: string) => Promise<Lists | null>) {
  const known = new Map<string, Promise<Lists | null>>();

  return async function readKept(model: string, version: string): Promise<Lists | null> {
    const key = `${model} ${version}`;
    const before = known.get(key);
    if (before) {
      // The most recently used list is evicted last.
      known.delete(key);
      known.set(key, before);
      return before;
    }
    const reading = read(model, version);
    known.set(key, reading);
    for (const oldest of [...known.keys()].slice(0, -KEPT_LISTS)) known.delete(oldest);
    const drop = () => known.get(key) === reading && known.delete(key);
    reading.then((lists) => lists ?? drop(), drop);
    return reading;
  };
}
