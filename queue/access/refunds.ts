/**
 * Gives back what limits were charged for work that no worker began: its job was canceled, expired or abandoned, or it is not known
 * whether there is a job.
 */
import { modelOfPrediction } from '../contract.ts';
import { InferqlError } from '../error-codes.ts';
import { runStep } from '../lua/lua-steps.ts';
import { parseSnapshot, type Snapshot } from '../predictions/prediction-snapshot.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { modelKeys } from '../redis/keys.ts';
import { type Limiter, RECEIPT_MS } from './rate-limiter.ts';

/** One call gives back at most this many. */
export const REFUND_BATCH_SIZE = 100;
/** A listed charge is remembered as refunded for this long, unless its record is removed before: Redis may be down in between. */
const LISTED_MS = 24 * 60 * 60 * 1000;
/** An admission that was decided against may still be on its way for this long, e.g. to a Redis that hangs. */
const REFUSED_MS = LISTED_MS;
/** A refund that failed may have happened, which Redis forgets after RECEIPT_MS. */
const RETRY_MS = RECEIPT_MS / 2;
/** What this process still has to give back after an outage; beyond it, callers stay charged. */
export const MAX_POSTPONED = 10_000;

interface Postponed {
  charge: string;
  /** Whether a job may exist, which keeps the charge. */
  inDoubt: boolean;
  /** By `performance.now()`. */
  untilMs: number;
}

export class Refunds {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #limiter: Pick<Limiter, 'refund'>;
  /** By the prediction's id. */
  readonly #postponed = new Map<string, Postponed>();

  /** @param redis a connection of the role 'request' */
  constructor(redis: RedisConnection, { prefix, limiter }: { prefix: string; limiter: Pick<Limiter, 'refund'> }) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#limiter = limiter;
  }

  /** Gives back a charge that has no job: now, or after an outage of at most some minutes. */
  async refund(id: string, charge: string): Promise<void> {
    try {
      await this.#limiter.refund(id, charge);
    } catch {
      this.#postpone(id, charge, false);
    }
  }

  /**
   * Decides an admission whose reply was lost: it gives back the charge unless a job of that id was admitted, in one step. After it the
   * id can no longer be admitted. While Redis does not answer, `settle` tries again.
   * @returns the prediction if it was admitted; null if it was not, or that is not known yet
   */
  async resolve(id: string, charge: string): Promise<Snapshot | null> {
    try {
      const admitted = parseSnapshot(await this.#runResolve(id, charge));
      await this.settle(modelOfPrediction(id)!).catch(() => undefined);
      return admitted;
    } catch {
      this.#postpone(id, charge, true);
      return null;
    }
  }

  /**
   * The step that ends a job lists its charge in the same transaction, so nothing is forgotten if a server dies. Any server may call this
   * at any time; the limiter gives back each charge once.
   * @returns how many were listed
   * @throws InferqlError UNAVAILABLE while Redis cannot serve it; the next call refunds the rest
   */
  async settle(model: string): Promise<number> {
    await this.#retryPostponed(model);
    const { refunds } = modelKeys(this.#prefix, model);
    const listed = await callRedis(() => this.#redis.zrange(refunds, '0', String(REFUND_BATCH_SIZE - 1)));
    if (listed.length === 0) return 0;
    await Promise.all(listed.map((entry) => this.#giveBack(entry, LISTED_MS)));
    await callRedis(() => this.#redis.zrem(refunds, ...listed));
    // Another server may have read the list before the records were removed.
    await Promise.all(listed.map((entry) => this.#giveBack(entry, RECEIPT_MS)));
    return listed.length;
  }

  #postpone(id: string, charge: string, inDoubt: boolean): void {
    if (this.#postponed.size >= MAX_POSTPONED && !this.#postponed.has(id)) return;
    this.#postponed.set(id, { charge, inDoubt, untilMs: performance.now() + (inDoubt ? REFUSED_MS : RETRY_MS) });
  }

  async #retryPostponed(model: string): Promise<void> {
    for (const [id, { charge, inDoubt, untilMs }] of this.#postponed) {
      if (modelOfPrediction(id) !== model) continue;
      if (performance.now() < untilMs) {
        await dropUnlessUnavailable(() => (inDoubt ? this.#runResolve(id, charge) : this.#limiter.refund(id, charge)));
      }
      this.#postponed.delete(id);
    }
  }

  async #runResolve(id: string, charge: string): Promise<unknown> {
    const keys = modelKeys(this.#prefix, modelOfPrediction(id)!);
    return await callRedis(() => runStep(this.#redis, 'resolve-admission', keys, [id, charge, REFUSED_MS]));
  }

  async #giveBack(entry: string, rememberMs: number): Promise<void> {
    const [, id, charge] = /^(\S+) (\S+ \{.*)$/.exec(entry) ?? [];
    if (id === undefined || charge === undefined) return;
    await dropUnlessUnavailable(() => this.#limiter.refund(id, charge, rememberMs));
  }
}

/** What cannot be read is dropped: it must not block what is behind it. */
async function dropUnlessUnavailable(giveBack: () => Promise<unknown>): Promise<void> {
  try {
    await giveBack();
  } catch (error) {
    if (error instanceof InferqlError) throw error;
  }
}
