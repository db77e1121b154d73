import { type KeyRecord, type KeyStore, whyInvalid } from '@inferql/queue/api-keys';

/** A record is used for this long. The channel reports changes; this limit is for lost messages. */
const MAX_AGE_MS = 5_000;
/** Unknown ids are cached, too, and anyone can send them. */
const MAX_ENTRIES = 10_000;

/** A key, or a token with the key that created it. */
export interface FoundKey {
  record: KeyRecord;
  /** The key behind a browser token; undefined for an API key. */
  parent: KeyRecord | undefined;
}

export type KeyCache = ReturnType<typeof createKeyCache>;

/** API keys as this server last read them, so that requests need not read them. */
export function createKeyCache(store: Pick<KeyStore, 'find'>) {
  const entries = new Map<string, { record: Promise<KeyRecord | null>; readAtMs: number }>();

  function find(id: string): Promise<KeyRecord | null> {
    const known = entries.get(id);
    if (known && Date.now() - known.readAtMs < MAX_AGE_MS) return known.record;
    const entry = { record: store.find(id), readAtMs: Date.now() };
    // The newest is last: the first one is dropped if there are too many.
    entries.delete(id);
    entries.set(id, entry);
    if (entries.size > MAX_ENTRIES) entries.delete(entries.keys().next().value!);
    entry.record.catch(() => {
      if (entries.get(id) === entry) entries.delete(id);
    });
    return entry.record;
  }

  return {
    /**
     * The key of that id, valid or not; null if there is none, or if it is a token whose key is gone.
     * @throws InferqlError UNAVAILABLE if Redis does not answer
     */
    async find(id: string): Promise<FoundKey | null> {
      const record = await find(id);
      if (!record) return null;
      if (record.parent === undefined) return { record, parent: undefined };
      const parent = await find(record.parent);
      return parent && { record, parent };
    },

    /** The next request reads the key again. */
    forget(id: string): void {
      entries.delete(id);
    },

    /** The next requests read all keys again. */
    forgetAll(): void {
      entries.clear();
    },
  };
}

/** @returns why the key is no longer valid, or undefined if it is. A token ends with its key. */
export function whyEnded({ record, parent }: FoundKey, nowMs: number): 'revoked' | 'expired' | undefined {
  return whyInvalid(record, nowMs) ?? (parent && whyInvalid(parent, nowMs));
}
