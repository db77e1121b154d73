/** Rate limits, quotas, and limits on what a caller holds open at once. */

import { hasLimits } from '@inferql/queue/access/limit-rules';
import {
  type LimitCost,
  type Limiter,
  type LimitRules,
  type LimitState,
  unknownCharge,
} from '@inferql/queue/access/rate-limiter';
import type { Refunds } from '@inferql/queue/access/refunds';
import { imageByteLength, type ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Snapshot } from '@inferql/queue/predictions/prediction-snapshot';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { ANONYMOUS, type Principal } from './principal.ts';

/** Assumed milliseconds per image of a model until a worker has measured it. */
const UNMEASURED_IMAGE_MS = 100;
/** Callers whose buckets are kept in memory while Redis is unavailable. */
const MAX_LOCAL_BUCKETS = 10_000;
const LOG_EVERY_MS = 10_000;
/** Less than a microsecond is the rounding of sums: what is allowed would be refused by it. */
const ROUNDING_MS = 1e-3;
const CONCURRENCY_RETRY_MS = 1_000;

/** RATE_LIMITED, with the limit that refused it. */
export class RateLimitedError extends InferqlError {
  readonly limit: LimitState;

  constructor(limit: LimitState, retryAfterMs: number) {
    const owner = limit.owner === 'tenant' ? 'tenant' : limit.owner === 'address' ? 'address' : 'key';
    const period = limit.period === 'rate' ? 'rate' : `quota of the ${limit.period}`;
    super('RATE_LIMITED', { message: `The ${period} of this ${owner} is used up. Try again later.`, retryAfterMs });
    this.limit = limit;
  }
}

/** A cost that was charged. */
export interface Charge {
  /** For the job, so that it is refunded if no worker starts it; undefined: no limits apply. */
  text: string | undefined;
  /** Refunds it: the request ended without work. */
  refund(): Promise<void>;
  /**
   * Refunds it unless the request was admitted, which its sender does not know. Nothing else can refund it afterwards.
   * @returns the prediction if it was
   */
  resolve(): Promise<Snapshot | null>;
}

const FREE: Charge = { text: undefined, refund: async () => undefined, resolve: async () => null };

/** What a caller holds open. */
type Holding = 'subscriptions' | 'waiting';

interface LimitsOptions {
  limiter: Limiter;
  refunds: Pick<Refunds, 'refund' | 'resolve'>;
  /** The measured milliseconds per image of a model; undefined before the first batch. */
  findImageMs(model: string): Promise<number | undefined>;
  config: { maxSubscriptions: number; maxWaiting: number };
  log: Logger;
}

/** Limits callers by the rules of their tenant, key or address. Redis counts for all servers. */
export class Limits {
  readonly #options: LimitsOptions;
  readonly #local = createLocalBuckets();
  /** What each caller holds open, by bucket. */
  readonly #held = { subscriptions: new Map<string, number>(), waiting: new Map<string, number>() };
  readonly #most: Record<Holding, number>;
  #decidedLocally = 0;
  #loggedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LimitsOptions) {
    const { maxSubscriptions, maxWaiting } = options.config;
    this.#options = options;
    this.#most = { subscriptions: maxSubscriptions, waiting: maxWaiting };
  }

  /**
   * Charges an image's predicted cost to all limits of its caller, or refuses and charges nothing.
   * @param id the prediction's; if sent again, nothing more is charged
   * @throws RateLimitedError
   */
  async charge(caller: Principal, id: string, model: ServedModel): Promise<Charge> {
    const { bucket, rules } = caller;
    if (!hasLimits(rules)) return FREE;
    const cost = await this.#priceOf(model);
    let outcome: Awaited<ReturnType<Limiter['take']>>;
    try {
      outcome = await this.#options.limiter.take({ tenant: bucket, id, cost, rules });
    } catch (error) {
      if (!(error instanceof InferqlError) || error.code !== 'UNAVAILABLE') throw error;
      // Redis may have charged it, too, or still will.
      return this.#openCharge(id, unknownCharge(bucket), this.#chargeLocally(caller, cost));
    }
    if (!outcome.allowed) throw new RateLimitedError(outcome.refusedBy, outcome.retryAfterMs);
    return this.#openCharge(id, outcome.charge);
  }

  async #priceOf(model: ServedModel): Promise<LimitCost> {
    const imageMs = (await this.#options.findImageMs(model.name)) ?? UNMEASURED_IMAGE_MS;
    return { machineMs: imageMs, requests: 1, bytes: imageByteLength(model.input) };
  }

  /** @returns a function that gives it back */
  #chargeLocally({ bucket, rules }: Principal, cost: LimitCost): () => void {
    this.#decidedLocally++;
    if (performance.now() - this.#loggedAtMs > LOG_EVERY_MS) {
      this.#loggedAtMs = performance.now();
      const counted = { decidedLocally: this.#decidedLocally };
      this.#options.log.warn(counted, 'Redis unavailable; this server enforces limits locally');
    }
    const outcome = this.#local.take(bucket, rules, cost);
    if (!outcome.allowed) throw new RateLimitedError(outcome.limit, outcome.retryAfterMs);
    return outcome.giveBack;
  }

  #openCharge(id: string, text: string, giveBackLocally = () => {}): Charge {
    const { refunds } = this.#options;
    let isResolved = false;
    return {
      text,
      async refund() {
        if (isResolved) return;
        giveBackLocally();
        await refunds.refund(id, text);
      },
      async resolve() {
        isResolved = true;
        return refunds.resolve(id, text);
      },
    };
  }

  /** What is left of each limit and quota of the caller. */
  async read({ bucket, rules }: Principal): Promise<LimitState[]> {
    return hasLimits(rules) ? this.#options.limiter.read(bucket, rules) : [];
  }

  /**
   * Counts something that the caller holds open on this server.
   * @returns a function to call once, when it is over
   * @throws InferqlError RATE_LIMITED if it holds as many as it may
   */
  hold(caller: Principal, what: Holding): () => void {
    // Inside a host application addresses are not known: everybody would be one caller.
    if (caller.kind === 'anonymous' && caller.bucket === ANONYMOUS.bucket && !hasLimits(caller.rules))
      return () => undefined;
    const counts = this.#held[what];
    const count = counts.get(caller.bucket) ?? 0;
    if (count >= this.#most[what]) {
      const message =
        what === 'subscriptions' ? 'Too many open subscriptions.' : 'Too many mutations are waiting for their answers.';
      throw new InferqlError('RATE_LIMITED', { message, retryAfterMs: CONCURRENCY_RETRY_MS });
    }
    counts.set(caller.bucket, count + 1);
    return () => {
      const left = counts.get(caller.bucket)! - 1;
      if (left === 0) counts.delete(caller.bucket);
      else counts.set(caller.bucket, left);
    };
  }

  /** How many of these all callers together hold open on this server. */
  countHeld(what: Holding): number {
    return [...this.#held[what].values()].reduce((sum, count) => sum + count, 0);
  }

  /** How many requests this server decided alone because Redis did not answer. */
  decidedLocally(): number {
    return this.#decidedLocally;
  }
}

/** Only rates, in this process. Requests accepted here are not counted elsewhere. */
function createLocalBuckets() {
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
