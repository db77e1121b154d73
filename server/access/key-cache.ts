/** Caches API keys for a few seconds, so that most requests do not read Redis. */
import { type KeyRecord, type KeyStore, whyInvalid } from '@inferql/queue/access/api-keys';
import { createReadCache } from './read-cache.ts';

/** A key, or a token with the key that created it. */
export interface FoundKey {
  record: KeyRecord;
  /** The key behind a browser token; undefined for an API key. */
  parent: KeyRecord | undefined;
}

export type KeyCache = ReturnType<typeof createKeyCache>;

/** API keys as this server last read them. */
export function createKeyCache(store: Pick<KeyStore, 'find'>) {
  const records = createReadCache((id) => store.find(id));
  return {
    /**
     * The key of that id, valid or not; null if there is none, or if it is a token whose key is gone.
     * @throws InferqlError UNAVAILABLE if Redis does not answer
     */
    async find(id: string): Promise<FoundKey | null> {
      const record = await records.find(id);
      if (!record) return null;
      if (record.parent === undefined) return { record, parent: undefined };
      const parent = await records.find(record.parent);
      return parent && { record, parent };
    },

    /** The next request reads the key again. */
    forget: records.forget,

    /** The next requests read all keys again. */
    forgetAll: records.forgetAll,
  };
}

/** @returns why the key is no longer valid, or undefined if it is. A token ends with its key. */
export function whyEnded({ record, parent }: FoundKey, nowMs: number): 'revoked' | 'expired' | undefined {
  return whyInvalid(record, nowMs) ?? (parent && whyInvalid(parent, nowMs));
}
