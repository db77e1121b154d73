import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { connect, setUp } from '../test/queue.fixture.ts';
import {
  createLimiter,
  type LimitCost,
  type LimitOutcome,
  type LimitRules,
  type LimitState,
  unknownCharge,
} from './rate-limiter.ts';

afterEach(() => {
  vi.useRealTimers();
});

const machineMs = (ms: number): LimitCost => ({ machineMs: ms, requests: 1, bytes: 1_000 });
/** So slow that nothing is refilled while a test runs. */
const SLOW = 1e-6;

const rate = (burst: number, ratePerSecond = SLOW, owner = 'tenant'): LimitRules => ({
  limits: [{ owner, unit: 'machineMs', ratePerSecond, burst }],
  quotas: [],
});
const quota = (limit: number, period: 'day' | 'month'): LimitRules => ({
  limits: [],
  quotas: [{ owner: 'tenant', unit: 'machineMs', limit, period }],
});

function chargeOf(outcome: LimitOutcome): string {
  if (!outcome.allowed) throw new Error('refused');
  return outcome.charge;
}

async function start() {
  const { redis, prefix, network } = await setUp();
  const limiter = createLimiter(redis, { prefix });
  const take = (ms: number, rules: LimitRules, tenant = 'alice', id: string = randomUUID()) =>
    limiter.take({ tenant, id, cost: machineMs(ms), rules });
  return { redis, prefix, network, limiter, take };
}

describe('a rate limit', () => {
  it('allows its burst, then refuses with the time to wait, and a refusal takes nothing', async () => {
    const { take, limiter, redis, prefix } = await start();
    const rules = rate(100, 5);
    expect(await take(60, rules)).toMatchObject({ allowed: true });
    expect(await take(40, rules)).toMatchObject({ allowed: true });
    const refused = await take(50, rules);
    if (refused.allowed) throw new Error('allowed');
    expect(refused.refusedBy).toMatchObject({ owner: 'tenant', unit: 'machineMs', period: 'rate', limit: 100 });
    // 50 units at 5 a second, less what was refilled since.
    expect(refused.retryAfterMs).toBeGreaterThan(5_000);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(10_000);
    const [state] = await limiter.read('alice', rules);
    expect(state!.remaining).toBeLessThan(50);
    expect(state!.remaining).toBeGreaterThanOrEqual(0);
    // A look at it leaves nothing.
    expect(await redis.keys(`${prefix}:limit:*receipt:*`)).toHaveLength(2);
  });

  it('refills with time, and is forgotten when it is full', async () => {
    const { take, limiter, redis, prefix } = await start();
    await take(100, rate(100, 5, 'key:one'));
    const [{ resetsAtMs }] = (await limiter.read('alice', rate(100, 5, 'key:one'))) as [LimitState];
    expect(Math.abs(resetsAtMs - Date.now() - 20_000)).toBeLessThan(5_000);
    const untilFullMs = await redis.pttl(`${prefix}:limit:{alice}:key:one:machineMs`);
    expect(untilFullMs).toBeGreaterThan(10_000);
    expect(untilFullMs).toBeLessThanOrEqual(20_001);
    const rules = rate(10, 1_000);
    expect((await take(10, rules)).allowed).toBe(true);
    await expect.poll(async () => (await take(10, rules)).allowed, { interval: 5 }).toBe(true);
  });

  it('lets a cost that is larger than the burst pass if the bucket is full, into debt', async () => {
    const { take, limiter } = await start();
    expect((await take(250, rate(100))).allowed).toBe(true);
    expect((await limiter.read('alice', rate(100)))[0]!.remaining).toBeCloseTo(-150, 3);
    expect((await take(1, rate(100))).allowed).toBe(false);
    expect((await take(10, rate(100), 'bob')).allowed).toBe(true);
    expect((await take(250, rate(100), 'bob')).allowed).toBe(false);
  });

  it('is never exceeded by 64 parallel clients on several connections, to the last unit', async () => {
    const { prefix } = await start();
    const limiters = Array.from({ length: 8 }, () => createLimiter(connect('work'), { prefix }));
    const rules: LimitRules = { ...rate(1_000), quotas: quota(700, 'day').quotas };
    const clients = Array.from({ length: 64 }, async (_, client) => {
      const spent: number[] = [];
      for (let i = 0; i < 25; i++) {
        const ms = 1 + ((client + i) % 3);
        const outcome = await limiters[client % 8]!.take({
          tenant: 'alice',
          id: randomUUID(),
          cost: machineMs(ms),
          rules,
        });
        if (outcome.allowed) spent.push(ms);
      }
      return spent;
    });
    const spent = (await Promise.all(clients)).flat().reduce((sum, ms) => sum + ms, 0);
    expect(spent).toBe(700);
    const [bucket, day] = await limiters[0]!.read('alice', rules);
    expect(bucket!.remaining).toBeCloseTo(300, 3);
    expect(day!.remaining).toBe(0);
  });

  it('uses the clock of Redis, whatever the server’s says', async () => {
    const { take, limiter } = await start();
    expect((await take(100, rate(100))).allowed).toBe(true);
    vi.useFakeTimers({ now: Date.now() + 365 * 86_400_000, toFake: ['Date'] });
    expect((await take(1, rate(100))).allowed).toBe(false);
    expect((await limiter.read('alice', rate(100)))[0]!.remaining).toBeCloseTo(0, 3);
  });
});

describe('a tenant and its keys', () => {
  it('apply to one request together: if one of them refuses, the other is not charged', async () => {
    const { take, limiter } = await start();
    const rules = (key: string): LimitRules => ({
      limits: [...rate(100).limits, ...rate(60, SLOW, `key:${key}`).limits],
      quotas: [],
    });
    expect((await take(60, rules('one'))).allowed).toBe(true);
    expect(await take(10, rules('one'))).toMatchObject({ allowed: false, refusedBy: { owner: 'key:one' } });
    expect((await take(40, rules('two'))).allowed).toBe(true);
    expect(await take(10, rules('two'))).toMatchObject({ allowed: false, refusedBy: { owner: 'tenant' } });
    const remaining = (await limiter.read('alice', rules('two'))).map((state) => Math.round(state.remaining));
    expect(remaining).toEqual([0, 20]);
  });

  it('name the one that takes longest to allow it, in whatever order', async () => {
    const { take } = await start();
    const limits = [...rate(100).limits, ...rate(100, 5, 'key:one').limits];
    expect((await take(100, { limits, quotas: [] })).allowed).toBe(true);
    for (const sorted of [limits, limits.toReversed()]) {
      const refused = await take(100, { limits: sorted, quotas: [] });
      expect(refused).toMatchObject({ allowed: false, refusedBy: { owner: 'tenant' } });
      expect(!refused.allowed && refused.retryAfterMs).toBeGreaterThan(20_000);
    }
  });

  it('are separate from other tenants', async () => {
    const { take } = await start();
    expect((await take(100, rate(100), 'alice')).allowed).toBe(true);
    expect((await take(100, rate(100), 'bob')).allowed).toBe(true);
  });

  it('may bound requests and bytes, too', async () => {
    const { take } = await start();
    const rules: LimitRules = {
      limits: [
        { owner: 'tenant', unit: 'requests', ratePerSecond: SLOW, burst: 3 },
        { owner: 'tenant', unit: 'bytes', ratePerSecond: SLOW, burst: 2_500 },
      ],
      quotas: [],
    };
    expect((await take(1, rules)).allowed).toBe(true);
    expect((await take(1, rules)).allowed).toBe(true);
    expect(await take(1, rules)).toMatchObject({ allowed: false, refusedBy: { unit: 'bytes' } });
  });
});

describe('a quota', () => {
  it.each(['day', 'month'] as const)('of a %s ends with it, in UTC', async (period) => {
    const { take, redis } = await start();
    expect((await take(70, quota(100, period))).allowed).toBe(true);
    const readClock = async () => {
      const [seconds, microseconds] = (await redis.time()).map(Number) as [number, number];
      return seconds * 1_000 + microseconds / 1_000;
    };
    const beforeMs = await readClock();
    const refused = await take(31, quota(100, period));
    const afterMs = await readClock();
    const now = new Date(afterMs);
    const endMs =
      period === 'day'
        ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1)
        : Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
    if (refused.allowed) throw new Error('allowed');
    expect(refused.refusedBy).toMatchObject({ period, remaining: 30, limit: 100, resetsAtMs: endMs });
    // Whole milliseconds, rounded either way.
    expect(refused.retryAfterMs).toBeGreaterThanOrEqual(endMs - afterMs - 1);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(endMs - beforeMs + 1);
    expect((await take(30, quota(100, period))).allowed).toBe(true);
  });

  it('knows the month of every day, and when it ends', async () => {
    const { redis } = await start();
    const calendar = await readFile(new URL('../lua/shared/quota-periods.lua', import.meta.url), 'utf8');
    const script = `${calendar}
      local answers = {}
      for _, day in ipairs(ARGV) do
        local year, month = month_of(tonumber(day))
        table.insert(answers, { year, month, first_day(year, month) })
      end
      return answers`;
    const days = Array.from({ length: 400 }, (_, i) => i * 97 + (i % 31));
    const expected = days.map((day) => {
      const date = new Date(day * 86_400_000);
      const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
      return [year, month + 1, Date.UTC(year, month, 1) / 86_400_000];
    });
    expect(await redis.eval(script, 0, ...days)).toEqual(expected);
  });

  it('is counted per period, and forgotten after it', async () => {
    const { take, redis, prefix } = await start();
    await take(70, { ...quota(100, 'day'), quotas: [...quota(100, 'day').quotas, ...quota(1_000, 'month').quotas] });
    const keys = (await redis.keys(`${prefix}:limit:*`)).filter((key) => !key.includes('receipt'));
    expect(keys).toHaveLength(2);
    const now = new Date();
    const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
    const ends = await Promise.all(keys.sort().map((key) => redis.pexpiretime(key)));
    // Up to some milliseconds later, as the time is rounded.
    for (const [i, endMs] of [Date.UTC(year, month, day + 1), Date.UTC(year, month + 1)].entries()) {
      expect(ends[i]! - endMs).toBeGreaterThanOrEqual(0);
      expect(ends[i]! - endMs).toBeLessThan(10);
    }
  });

  it('that is used up is named, and not the rate beside it', async () => {
    const { take } = await start();
    const both = (burst: number, limit: number) => ({ ...rate(burst), quotas: quota(limit, 'day').quotas });
    await take(100, both(1_000, 100));
    expect(await take(1, both(1_000, 100))).toMatchObject({ refusedBy: { period: 'day' } });
    expect(await take(1, both(100, 1_000))).toMatchObject({ refusedBy: { period: 'rate' } });
  });

  it('allows its last unit, whatever the sum of fractions is', async () => {
    const { take } = await start();
    expect((await take(0.1, quota(0.3, 'day'))).allowed).toBe(true);
    expect((await take(0.2, quota(0.3, 'day'))).allowed).toBe(true);
    expect((await take(0.1, quota(0.3, 'day'))).allowed).toBe(false);
  });
});

describe('a refund', () => {
  it('returns what the request took, once', async () => {
    const { take, limiter, redis, prefix } = await start();
    const rules: LimitRules = { ...rate(100), quotas: quota(100, 'month').quotas };
    const charge = chargeOf(await take(80, rules, 'alice', 'a'));
    await take(20, rules, 'alice', 'b');
    expect(await limiter.refund('a', charge)).toBe(true);
    expect(await limiter.refund('a', charge)).toBe(false);
    for (const key of await redis.keys(`${prefix}:limit:*`)) expect(await redis.pttl(key)).toBeGreaterThan(0);
    expect((await limiter.read('alice', rules)).map(({ remaining }) => Math.round(remaining))).toEqual([80, 80]);
    expect((await take(80, rules)).allowed).toBe(true);
    expect((await take(1, rules)).allowed).toBe(false);
  });

  it('and a request are counted once, even if their replies were lost and they were sent again', async () => {
    const { take, limiter, network } = await start();
    network.losesReplies = true;
    expect((await take(60, rate(100))).allowed).toBe(true);
    await limiter.refund('x', chargeOf(await take(30, rate(100), 'alice', 'x')));
    network.losesReplies = false;
    expect((await limiter.read('alice', rate(100)))[0]!.remaining).toBeCloseTo(40, 3);
  });

  it('never fills a bucket beyond its burst', async () => {
    const { take, limiter, redis, prefix } = await start();
    const rules = rate(100, 1_000);
    const charge = chargeOf(await take(50, rules, 'alice', 'a'));
    const isKept = async () => (await redis.exists(`${prefix}:limit:{alice}:tenant:machineMs`)) === 1;
    await expect.poll(isKept, { interval: 5 }).toBe(false);
    await limiter.refund('a', charge);
    expect((await limiter.read('alice', rules))[0]!.remaining).toBe(100);
    expect(await isKept()).toBe(false);
  });

  it('finds what was taken if the reply of the request was lost, and a request that comes after it takes nothing', async () => {
    const { take, limiter } = await start();
    await take(80, rate(100), 'alice', 'a');
    expect(await limiter.refund('a', unknownCharge('alice'))).toBe(true);
    expect((await limiter.read('alice', rate(100)))[0]!.remaining).toBeCloseTo(100, 3);
    await limiter.refund('late', unknownCharge('alice'));
    expect((await take(80, rate(100), 'alice', 'late')).allowed).toBe(true);
    expect((await limiter.read('alice', rate(100)))[0]!.remaining).toBeCloseTo(100, 3);
  });

  it('is possible after Redis has forgotten the request, from the copy in its job, and once', async () => {
    const { take, limiter, redis, prefix } = await start();
    const rules: LimitRules = { ...rate(100), quotas: quota(100, 'month').quotas };
    const charge = chargeOf(await take(80, rules, 'alice', 'a'));
    expect(await redis.del(`${prefix}:limit:{alice}:receipt:a`)).toBe(1);
    expect(await limiter.refund('a', charge)).toBe(true);
    expect(await limiter.refund('a', charge)).toBe(false);
    expect((await limiter.read('alice', rules)).map(({ remaining }) => Math.round(remaining))).toEqual([100, 100]);
  });
});
