/** Rate limits, quotas, and limits on what a caller holds open at once. */

import { hasLimits } from '@inferql/queue/access/limit-rules';
import { type LimitCost, type Limiter, type LimitState, unknownCharge } from '@inferql/queue/access/rate-limiter';
import type { Refunds } from '@inferql/queue/access/refunds';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Snapshot } from '@inferql/queue/predictions/prediction-snapshot';
import type { Logger } from 'pino';
import { createLocalBuckets } from './limits-without-redis.ts';
import { ANONYMOUS, type Principal } from './principal.ts';
import { estimateCost } from './request-cost.ts';

const LOG_EVERY_MS = 10_000;
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
    const cost = estimateCost(model, await this.#options.findImageMs(model.name));
    let outcome: Awaited<ReturnType<Limiter['take']>>;
    try {
      outcome = await this.#options.limiter.take({ tenant: bucket, id, cost, rules });
    } catch (error) {
      if (!(error instanceof InferqlError) || error.code !== 'UNAVAILABLE') throw error;
      // Redis may have charged it, too, or still will.
      const unknown = unknownCharge(bucket);
      try {
        return this.#openCharge(id, unknown, this.#chargeLocally(caller, cost));
      } catch (refusal) {
        void this.#options.refunds.refund(id, unknown);
        throw refusal;
      }
    }
    if (!outcome.allowed) throw new RateLimitedError(outcome.refusedBy, outcome.retryAfterMs);
    return this.#openCharge(id, outcome.charge);
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
