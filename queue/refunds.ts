/** Gives back what limits were charged for jobs that ended before any worker began them: canceled, expired, or abandoned. */
import { InferqlError } from './errors.ts';
import { modelKeys } from './keys.ts';
import type { Limiter } from './limits.ts';
import type { RedisConnection } from './redis-connection.ts';
import { callRedis } from './redis-errors.ts';

/** One call gives back at most this many. */
export const REFUND_BATCH_SIZE = 100;

export type Refunds = ReturnType<typeof createRefunds>;

/** @param redis a connection of the role 'request' */
export function createRefunds(
  redis: RedisConnection,
  { prefix, limiter }: { prefix: string; limiter: Pick<Limiter, 'refund'> },
) {
  /** A record that cannot be read is dropped: it must not block those behind it. */
  async function giveBack(entry: string): Promise<void> {
    const [, id, charge] = /^(\S+) (\S+ \{.*)$/.exec(entry) ?? [];
    if (id === undefined || charge === undefined) return;
    try {
      await limiter.refund(id, charge);
    } catch (error) {
      if (error instanceof InferqlError) throw error;
    }
  }

  return {
    /**
     * The step that ends a job lists its charge in the same transaction, so nothing is forgotten if a server dies. Any server may call this
     * at any time; the limiter gives back each charge once.
     * @returns how many were listed
     * @throws InferqlError UNAVAILABLE while Redis cannot serve it; the next call refunds the rest
     */
    async settle(model: string): Promise<number> {
      const { refunds } = modelKeys(prefix, model);
      const listed = await callRedis(() => redis.zrange(refunds, '0', String(REFUND_BATCH_SIZE - 1)));
      if (listed.length === 0) return 0;
      await Promise.all(listed.map(giveBack));
      await callRedis(() => redis.zrem(refunds, ...listed));
      return listed.length;
    },
  };
}
