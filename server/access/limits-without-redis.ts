/** The limits that a server enforces alone while Redis is unavailable. */
import type { LimitCost, LimitRules, LimitState } from '@inferql/queue/access/rate-limiter';
import { LRUCache } from 'lru-cache';

/** Callers whose buckets are kept in memory. */
const MAX_LOCAL_BUCKETS = 10_000;
/** Less than a microsecond is the rounding of sums: what is allowed would be refused by it. */
const ROUNDING_MS = 1e-3;

/** Only rates, in this process. Requests accepted here are not counted elsewhere. */
export function createLocalBuckets() {
  /** When each is full again, in milliseconds of a monotonic clock. */
  const fullAt = new LRUCache<string, number>({ max: MAX_LOCAL_BUCKETS });
  return {
    take(bucket: string, { limits }: LimitRules, cost: LimitCost) {
      const now = performance.now();
      const taken = limits.map(({ owner, unit, ratePerSecond, burst }) => {
        const key = `${bucket} ${owner}:${unit}`;
        const unitMs = 1_000 / ratePerSecond;
        const next = Math.max(now, fullAt.get(key) ?? 0) + cost[unit] * unitMs;
        const waitMs = next - Math.max(burst, cost[unit]) * unitMs - now;
        const limit: LimitState = {
          owner,
          unit,
          period: 'rate',
          limit: burst,
          remaining: 0,
          resetsAtMs: Date.now() + next - now,
        };
        return { key, next, waitMs, limit, takenMs: cost[unit] * unitMs };
      });
      const refused = taken.filter(({ waitMs }) => waitMs >= ROUNDING_MS).sort((a, b) => b.waitMs - a.waitMs)[0];
      if (refused) return { allowed: false as const, limit: refused.limit, retryAfterMs: Math.ceil(refused.waitMs) };
      for (const { key, next } of taken) fullAt.set(key, next);
      return {
        allowed: true as const,
        giveBack() {
          for (const { key, takenMs } of taken) fullAt.set(key, (fullAt.get(key) ?? 0) - takenMs);
        },
      };
    },
  };
}
