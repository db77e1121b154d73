import { afterEach, expect, it, vi } from 'vitest';
import { newPredictionId } from '../contract.ts';
import { InferqlError } from '../error-codes.ts';
import { setUp } from '../test/queue.fixture.ts';
import { createLimiter, type LimitRules, RECEIPT_MS } from './rate-limiter.ts';
import { MAX_POSTPONED, Refunds } from './refunds.ts';

const RULES: LimitRules = { limits: [], quotas: [{ owner: 'tenant', unit: 'requests', limit: 10, period: 'month' }] };

afterEach(() => {
  vi.restoreAllMocks();
});

it('an admission in doubt is decided once Redis answers again', async () => {
  const queue = await setUp();
  const limiter = createLimiter(queue.redis, { prefix: queue.prefix });
  const [admitted, late] = [queue.request(1), queue.request(2)];
  async function take(id: string): Promise<string> {
    const taken = await limiter.take({
      tenant: 'alice',
      id,
      cost: { machineMs: 1, requests: 1, bytes: 1 },
      rules: RULES,
    });
    if (!taken.allowed) throw new Error('refused');
    return taken.charge;
  }
  const countLeft = async () => (await limiter.read('alice', RULES))[0]!.remaining;
  const charge = await take(admitted.id);
  await queue.admit(1, { ...admitted, charge });
  const lateCharge = await take(late.id);
  let isAway = true;
  const leaving = new Proxy(queue.redis, {
    get(target, name) {
      if (name === 'evalsha' && isAway) return async () => Promise.reject(new Error('Connection is closed.'));
      return Reflect.get(target, name, target);
    },
  });
  const refunds = new Refunds(leaving, { prefix: queue.prefix, limiter });
  expect(await refunds.resolve(admitted.id, charge)).toBeNull();
  expect(await refunds.resolve(late.id, lateCharge)).toBeNull();
  expect(await countLeft()).toBe(8);
  isAway = false;
  await refunds.settle('tiny');
  expect(await countLeft()).toBe(9);
  expect(await queue.producer.admit({ ...late, charge: lateCharge })).toEqual({ kind: 'unavailable' });
  expect(await queue.status(admitted.id)).toBe('QUEUED');
});

it('what one server has to give back after an outage is bounded; beyond that, callers stay charged', async () => {
  const { redis, prefix } = await setUp();
  const given = new Map<string, string>();
  let isAway = true;
  const refunds = new Refunds(redis, {
    prefix,
    limiter: {
      async refund(id, charge) {
        if (isAway) throw new InferqlError('UNAVAILABLE');
        given.set(id, charge);
        return true;
      },
    },
  });
  const ids = Array.from({ length: MAX_POSTPONED + 50 }, () => newPredictionId('tiny'));
  const refund = (n: number, charge = 'first') => refunds.refund(ids[n]!, charge);
  for (const n of ids.keys()) await refund(n);
  // The newest charge of one that is known counts, also at the bound.
  await refund(0, 'second');
  await expect(refunds.settle('tiny')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  isAway = false;
  expect(await refunds.settle('other')).toBe(0);
  expect(given.size).toBe(0);
  await refunds.settle('tiny');
  expect(given.size).toBe(MAX_POSTPONED);
  expect([given.get(ids[0]!), given.has(ids[MAX_POSTPONED]!)]).toEqual(['second', false]);
  // Nothing is given back twice, and new refunds are taken again.
  given.clear();
  await refunds.settle('tiny');
  expect(given.size).toBe(0);
  isAway = true;
  await refund(MAX_POSTPONED);
  isAway = false;
  await refunds.settle('tiny');
  expect([...given.keys()]).toEqual([ids[MAX_POSTPONED]]);

  // A refund that failed may have happened, which Redis does not remember forever.
  given.clear();
  isAway = true;
  await refund(0);
  isAway = false;
  const nowMs = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs + RECEIPT_MS / 2);
  await refunds.settle('tiny');
  expect(given.size).toBe(0);
});
