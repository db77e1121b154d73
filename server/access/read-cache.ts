/** A value is used for this long. The channel reports changes; this limit is for lost messages. */
const MAX_AGE_MS = 5_000;
/** What does not exist is cached, too, and anyone can ask for it. */
const MAX_ENTRIES = 10_000;

export type ReadCache<T> = ReturnType<typeof createReadCache<T>>;

/** Values as this server last read them, so that requests need not read them. Failed reads are not kept. */
export function createReadCache<T>(read: (name: string) => Promise<T>) {
  const entries = new Map<string, { value: Promise<T>; readAtMs: number }>();
  return {
    find(name: string): Promise<T> {
      const known = entries.get(name);
      if (known && performance.now() - known.readAtMs < MAX_AGE_MS) return known.value;
      const entry = { value: read(name), readAtMs: performance.now() };
      // The newest is last: the first one is dropped if there are too many.
      entries.delete(name);
      entries.set(name, entry);
      if (entries.size > MAX_ENTRIES) entries.delete(entries.keys().next().value!);
      entry.value.catch(() => {
        if (entries.get(name) === entry) entries.delete(name);
      });
      return entry.value;
    },

    /** The next `find` reads it again. */
    forget(name: string): void {
      entries.delete(name);
    },

    forgetAll(): void {
      entries.clear();
    },
  };
}
