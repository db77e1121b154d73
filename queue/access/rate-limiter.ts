/** Rate limits and quotas of tenants and their keys: one atomic step takes a request's cost from all that apply, or from none. */

import { runScript } from '../lua/lua-steps.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { tenantLimitKeys } from '../redis/keys.ts';

/** What a request costs: machine time that it is predicted to take, its images as requests, and its bytes. */
export interface LimitCost {
  /** Milliseconds: images times the model's measured milliseconds per image. */
  machineMs: number;
  requests: number;
  bytes: number;
}
export type LimitUnit = keyof LimitCost;

export interface RateLimit {
  /** The owner, e.g. `tenant` or `key:<id>`: callers with the same tenant and name share the bucket. */
  owner: string;
  unit: LimitUnit;
  /** Units that are refilled per second. */
  ratePerSecond: number;
  /** Units that a full bucket holds. */
  burst: number;
}

export interface Quota {
  owner: string;
  unit: LimitUnit;
  /** Units per period. */
  limit: number;
  /** A day or a month of UTC. */
  period: 'day' | 'month';
}

export interface LimitRules {
  limits: RateLimit[];
  quotas: Quota[];
}

/** What is left of one limit or quota; negative after a cost larger than the burst. */
export interface LimitState {
  owner: string;
  unit: LimitUnit;
  period: 'rate' | Quota['period'];
  remaining: number;
  limit: number;
  /** When it is full again, in Unix milliseconds by Redis' clock. */
  resetsAtMs: number;
}

export type LimitOutcome =
  /** The charge is what a refund needs, as text. */
  | { allowed: true; states: LimitState[]; charge: string }
  /** Nothing was taken. `refusedBy` is the limit that takes longest to allow it. */
  | { allowed: false; retryAfterMs: number; refusedBy: LimitState; states: LimitState[] };

/** Redis remembers what a request took, and that it was refunded, for this long. A job keeps a copy while it is open. */
export const RECEIPT_MS = 5 * 60 * 1000;

export type Limiter = ReturnType<typeof createLimiter>;

/**
 * Every call rejects with InferqlError UNAVAILABLE while Redis cannot serve it.
 * @param redis a connection of the role 'request'
 */
export function createLimiter(redis: RedisConnection, { prefix }: { prefix: string }) {
  async function run(
    tenant: string,
    id: string,
    cost: LimitCost,
    rules: LimitRules,
    dry: boolean,
  ): Promise<LimitOutcome> {
    const request = JSON.stringify({ id, dry, receiptMs: RECEIPT_MS, ...priceRules(rules, cost) });
    const keys = [tenantLimitKeys(prefix, tenant)];
    const reply = await callRedis(() => runScript(redis, 'charge-limits', keys, [request]));
    const [allowed, retryAfterMs, refusedBy, receipt, ...figures] = reply as [
      number,
      number,
      string,
      string,
      ...string[],
    ];
    const states = readStates(rules, figures);
    if (allowed === 1) return { allowed: true, states, charge: `${tenant} ${receipt}` };
    const named = states.filter(({ owner, unit }) => `${owner}:${unit}` === refusedBy);
    // A rate and a quota may share a name: the emptier one refused.
    const [worst] = named.sort((a, b) => a.remaining / a.limit - b.remaining / b.limit);
    return { allowed: false, retryAfterMs, refusedBy: worst!, states };
  }

  return {
    /**
     * Takes the cost from every limit and quota, or from none.
     * @param id of the request; if it is sent again, nothing more is taken
     */
    take: ({ tenant, id, cost, rules }: { tenant: string; id: string; cost: LimitCost; rules: LimitRules }) =>
      run(tenant, id, cost, rules, false),

    /**
     * Gives back what the request took, once, however often and by whichever server it is asked for.
     * @param charge from `take`, or `unknownCharge`
     * @param rememberMs for how long Redis remembers that it was refunded
     * @returns whether there was anything
     */
    async refund(id: string, charge: string, rememberMs = RECEIPT_MS): Promise<boolean> {
      const [tenant, receipt] = splitCharge(charge);
      const keys = [tenantLimitKeys(prefix, tenant)];
      return (await callRedis(() => runScript(redis, 'refund-limits', keys, [id, receipt, rememberMs]))) === 1;
    },

    /** What is left, without taking anything. */
    async read(tenant: string, rules: LimitRules): Promise<LimitState[]> {
      return (await run(tenant, '-', { machineMs: 0, requests: 0, bytes: 0 }, rules, true)).states;
    },
  };
}

/** The rules as lua/charge-limits.lua takes them, with what a request costs of each. */
function priceRules({ limits, quotas }: LimitRules, cost: LimitCost) {
  return {
    limits: limits.map(({ owner, unit, ratePerSecond, burst }) => ({
      name: `${owner}:${unit}`,
      cost: cost[unit],
      ratePerSecond,
      burst,
    })),
    quotas: quotas.map(({ owner, unit, limit, period }) => ({
      name: `${owner}:${unit}`,
      cost: cost[unit],
      limit,
      period,
    })),
  };
}

/** @param figures of lua/charge-limits.lua: three per rule */
function readStates({ limits, quotas }: LimitRules, figures: readonly string[]): LimitState[] {
  const bounds = [...limits.map((limit) => ({ ...limit, period: 'rate' as const })), ...quotas];
  return bounds.map(({ owner, unit, period }, i) => {
    const [remaining, limit, resetsAtMs] = figures.slice(3 * i, 3 * i + 3).map(Number) as [number, number, number];
    return { owner, unit, period, remaining, limit, resetsAtMs };
  });
}

/** The charge of a `take` whose reply was lost: a refund finds what was taken by the request's id, while Redis remembers it. */
export function unknownCharge(tenant: string): string {
  return `${tenant} {"limits":[],"quotas":[]}`;
}

/** Neither tenants nor addresses contain spaces. */
function splitCharge(charge: string): [tenant: string, receipt: string] {
  const space = charge.indexOf(' ');
  return [charge.slice(0, space), charge.slice(space + 1)];
}
