/** Limits while Redis is down. server/test/access/limits.test.ts has the others. */
import { createLimiter } from '@inferql/queue/access/rate-limiter';
import { Refunds } from '@inferql/queue/access/refunds';
import { connectRedis } from '@inferql/queue/redis/connection';
import { makeServedModel } from '@inferql/testing/data/served-model';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Limits } from './caller-limits.ts';
import { ANONYMOUS, type Principal } from './principal.ts';

const MODEL = makeServedModel('tiny');
const KEPT_BUCKETS = 10_000;

/** Limits of a server whose Redis does not answer. */
function createLimits(onLog: (line: string) => void = () => {}, onRefund?: (id: string) => void): Limits {
  const redis = connectRedis('redis://127.0.0.1:1', 'request');
  redis.on('error', () => undefined);
  redis.disconnect();
  const limiter = createLimiter(redis, { prefix: 'away' });
  const refunds = new Refunds(redis, { prefix: 'away', limiter });
  if (onRefund) refunds.refund = async (id) => onRefund(id);
  return new Limits({
    limiter,
    refunds,
    findImageMs: async () => 10,
    config: { maxSubscriptions: 1, maxWaiting: 1 },
    log: pino({}, { write: onLog }),
  });
}

test('while Redis is down a server counts alone, and logs it', async () => {
  const lines: string[] = [];
  const refunded: string[] = [];
  const limits = createLimits(
    (line) => lines.push(line),
    (id) => refunded.push(id),
  );
  const caller = {
    ...ANONYMOUS,
    bucket: 'alice',
    rules: { limits: [{ owner: 'tenant', unit: 'requests' as const, ratePerSecond: 1e-3, burst: 3 }], quotas: [] },
  };
  const charges = [];
  for (let i = 0; i < 3; i++) charges.push(await limits.charge(caller, String(i), MODEL));
  await expect(limits.charge(caller, '3', MODEL)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  // Redis may have charged the refused one, or still will.
  expect(refunded).toEqual(['3']);
  await limits.charge({ ...caller, bucket: 'bob' }, '4', MODEL);
  expect(limits.decidedLocally()).toBe(5);
  // What ends without work is given back here, too.
  await charges[0]!.refund();
  await limits.charge(caller, '5', MODEL);
  await expect(limits.charge(caller, '6', MODEL)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('enforces limits locally');
});

test('this server counts ten thousand callers alone, and forgets the one that asked longest ago', async () => {
  const limits = createLimits();
  const limit = { owner: 'tenant', unit: 'requests' as const, ratePerSecond: 1e-6, burst: 1 };
  const callerOf = (n: number): Principal => ({
    ...ANONYMOUS,
    bucket: `tenant ${n}`,
    rules: { limits: [limit], quotas: [] },
  });
  let asked = 0;
  const ask = (n: number) => limits.charge(callerOf(n), `tiny.${asked++}`, MODEL);
  const refusal = { code: 'RATE_LIMITED' };

  const first = await ask(0);
  await expect(ask(0)).rejects.toMatchObject(refusal);
  for (let n = 1; n < KEPT_BUCKETS; n++) await ask(n);
  await expect(ask(0)).rejects.toMatchObject(refusal);
  for (let n = KEPT_BUCKETS; n < KEPT_BUCKETS + 5; n++) await ask(n);

  // Tenant 0 was asked about in between: 1 to 5 are forgotten, and have what they are allowed again, once.
  for (const kept of [0, 6, KEPT_BUCKETS + 4]) await expect(ask(kept), `tenant ${kept}`).rejects.toMatchObject(refusal);
  const again = await ask(1);
  await expect(ask(1)).rejects.toMatchObject(refusal);

  // What is given back to a caller that was forgotten meanwhile is not more than it is allowed.
  for (let n = 0; n < KEPT_BUCKETS; n++) await ask(2 * KEPT_BUCKETS + n);
  await Promise.all([first.refund(), again.refund()]);
  for (const n of [0, 1]) {
    await ask(n);
    await expect(ask(n), `tenant ${n}`).rejects.toMatchObject(refusal);
  }
  expect(limits.decidedLocally()).toBe(asked);
});
