import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { PredictionState } from '../contract.ts';
import { Consumer } from '../jobs/consumer.ts';
import type { AdmitRequest } from '../predictions/producer.ts';
import { tenantLimitKeys } from '../redis/keys.ts';
import { connect, failure, setUp, success, takeOver } from '../test/queue.fixture.ts';
import { createLimiter, type LimitRules, RECEIPT_MS } from './rate-limiter.ts';
import { REFUND_BATCH_SIZE, Refunds } from './refunds.ts';

const TENANT = 'address:203.0.113.7';
const RULES: LimitRules = {
  limits: [{ owner: 'address', unit: 'machineMs', ratePerSecond: 1e-6, burst: 100_000 }],
  quotas: [{ owner: 'address', unit: 'requests', limit: 1_000, period: 'month' }],
};

const COST = { machineMs: 100, requests: 1, bytes: 1 };

/** A queue whose jobs are charged 100 ms and one request each. */
async function setUpCharged(settings: Parameters<typeof setUp>[0] = {}) {
  const queue = await setUp(settings);
  const limiter = createLimiter(queue.redis, { prefix: queue.prefix });
  const refunds = new Refunds(queue.redis, { prefix: queue.prefix, limiter });
  return {
    ...queue,
    limiter,
    refunds,
    async admitCharged(pixel: number, more: Partial<AdmitRequest> = {}): Promise<PredictionState> {
      const sent = queue.request(pixel, more);
      const taken = await limiter.take({ tenant: TENANT, id: sent.id, cost: COST, rules: RULES });
      if (!taken.allowed) throw new Error('refused');
      return queue.admit(pixel, { ...sent, charge: taken.charge });
    },
    /** Images that were charged and not refunded, by both limits. */
    async countCharged(): Promise<number> {
      const [rate, quota] = await limiter.read(TENANT, RULES);
      const requests = quota!.limit - quota!.remaining;
      expect(Math.round((rate!.limit - rate!.remaining) / 100)).toBe(requests);
      return requests;
    },
  };
}

type Queue = Awaited<ReturnType<typeof setUpCharged>>;

async function expire({ redis, keys, producer }: Queue, id: string): Promise<void> {
  await redis.zadd(keys.deadlines, 1, id);
  await redis.hset(`${keys.prediction}${id}`, 'deadlineMs', 1);
  await producer.expireDue('tiny');
}

/** How a job ends before a worker begins it. */
const UNWORKED: Record<string, (queue: Queue, id: string) => Promise<unknown>> = {
  'is canceled': ({ producer }, id) => producer.cancel(id),
  'is abandoned by its caller': ({ producer }, id) => producer.cancel(id, { onlyAbandoned: true }),
  'expires in the queue': expire,
  async 'expires when a worker is about to begin it'({ redis, keys, consumer }, id) {
    await redis.hset(`${keys.prediction}${id}`, 'deadlineMs', 1);
    expect(await consumer.start(await consumer.claim(1))).toEqual([]);
  },
  async 'is canceled after a worker has claimed it'({ producer, consumer }, id) {
    await consumer.claim(1);
    await producer.cancel(id);
  },
  async 'fails, since its version is gone and the next one takes other images'({ prefix, redis, model, consumer }) {
    const input = { ...model.input, width: 9 };
    const next = { ...model, version: 'bbbbbbbbbbbb', input };
    const worker = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: 'next' });
    await worker.register({ worker: 'next', version: next.version, engine: 'scripted', startedAtMs: 0 });
    await consumer.deregister();
    await worker.migrateRetired();
  },
};

/** How a job ends that was worked on. */
const WORKED: Record<string, (queue: Queue, id: string) => Promise<unknown>> = {
  async succeeds({ consumer }) {
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
  },
  async fails({ consumer }) {
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(failure));
  },
  async 'is canceled while a worker runs it'({ producer, consumer }, id) {
    await consumer.start(await consumer.claim(1));
    await producer.cancel(id);
  },
  async 'expires while a worker runs it'(queue, id) {
    await queue.consumer.start(await queue.consumer.claim(1));
    await expire(queue, id);
  },
  async 'loses its worker for good'({ consumer, addWorker }) {
    await consumer.start(await consumer.claim(1));
    const other = await addWorker();
    expect(await other.start(await takeOver(other))).toEqual([]);
  },
};

describe.each([
  ['once', false],
  ['once, though every reply was lost and every step sent again', true],
])('what was charged is refunded %s', (_, losesReplies) => {
  it.each(Object.entries(UNWORKED))('if the job %s', async (_what, end) => {
    const queue = await setUpCharged();
    queue.network.losesReplies = losesReplies;
    const { id } = await queue.admitCharged(1);
    expect(await queue.countCharged()).toBe(1);
    await end(queue, id);
    expect(await queue.status(id)).toMatch(/CANCELED|EXPIRED|FAILED/);
    await queue.limiter.take({ tenant: TENANT, id: 'other', cost: COST, rules: RULES });
    // Two servers at once.
    await Promise.all([queue.refunds.settle('tiny'), queue.refunds.settle('tiny')]);
    expect(await queue.countCharged()).toBe(1);
    await queue.refunds.settle('tiny');
    expect(await queue.countCharged()).toBe(1);
  });
});

it.each(Object.entries(WORKED))('nothing is refunded if the job %s', async (_what, end) => {
  const queue = await setUpCharged({ visibilityMs: 1, maxAttempts: 1 });
  const { id } = await queue.admitCharged(1);
  await end(queue, id);
  expect(await queue.status(id)).toMatch(/SUCCEEDED|FAILED|CANCELED|EXPIRED/);
  expect(await queue.refunds.settle('tiny')).toBe(0);
  expect(await queue.countCharged()).toBe(1);
});

it('a client that leaves work that others wait for pays for it; if all leave, it is refunded', async () => {
  const queue = await setUpCharged();
  const first = await queue.admitCharged(1);
  const follower = await queue.admit(1);
  expect(follower.jobId).toBe(first.id);
  await queue.producer.cancel(first.id);
  expect(await queue.refunds.settle('tiny')).toBe(0);
  expect(await queue.countCharged()).toBe(1);
  await queue.producer.cancel(follower.id);
  await queue.refunds.settle('tiny');
  expect(await queue.countCharged()).toBe(0);
});

it('what a dead server left is refunded by another, however much', async () => {
  const queue = await setUpCharged({ maxQueueSize: 1_000 });
  const count = REFUND_BATCH_SIZE + 20;
  for (let i = 0; i < count; i++) await queue.producer.cancel((await queue.admitCharged(1, { share: false })).id);
  expect(await queue.countCharged()).toBe(count);
  const other = new Refunds(queue.redis, {
    prefix: queue.prefix,
    limiter: createLimiter(queue.redis, { prefix: queue.prefix }),
  });
  expect(await other.settle('tiny')).toBe(REFUND_BATCH_SIZE);
  expect(await other.settle('tiny')).toBe(20);
  expect(await queue.countCharged()).toBe(0);
});

it('a record that is not a charge refunds nothing and blocks nothing', async () => {
  const queue = await setUpCharged();
  const { id } = await queue.admitCharged(1);
  await queue.redis.zadd(queue.keys.refunds, 0, 'nonsense', 0, `${randomUUID()} ${TENANT} {"limits":1}`);
  await queue.producer.cancel(id);
  await queue.refunds.settle('tiny');
  expect(await queue.countCharged()).toBe(0);
  expect(await queue.redis.exists(queue.keys.refunds)).toBe(0);
});

describe.each([
  ['its reply was lost', false],
  ['every reply was lost and every step sent again', true],
])('an admission in doubt, since %s,', (_, losesReplies) => {
  it('is found if it happened, and keeps its charge until its job ends', async () => {
    const queue = await setUpCharged();
    queue.network.losesReplies = losesReplies;
    const { id } = await queue.admitCharged(1);
    const charge = await queue.redis.hget(`${queue.keys.job}${id}`, 'charge');
    expect(await queue.refunds.resolve(id, charge!)).toMatchObject({ state: { id, status: 'QUEUED' }, position: 1 });
    expect(await queue.countCharged()).toBe(1);
    await queue.producer.cancel(id);
    await queue.refunds.settle('tiny');
    expect(await queue.countCharged()).toBe(0);
  });

  it('is refunded if it did not happen, once, and cannot happen afterwards', async () => {
    const queue = await setUpCharged();
    queue.network.losesReplies = losesReplies;
    await queue.limiter.take({ tenant: TENANT, id: 'other', cost: COST, rules: RULES });
    const late = queue.request(1);
    const taken = await queue.limiter.take({ tenant: TENANT, id: late.id, cost: COST, rules: RULES });
    if (!taken.allowed) throw new Error('refused');
    const { charge } = taken;
    // Two servers cannot, but one may have lost the reply to this, too.
    await Promise.all([queue.refunds.resolve(late.id, charge), queue.refunds.resolve(late.id, charge)]);
    expect(await queue.countCharged()).toBe(1);
    expect(await queue.producer.admit({ ...late, charge })).toEqual({ kind: 'unavailable' });
    expect(await queue.refunds.resolve(late.id, charge)).toBeNull();
    expect(await queue.countCharged()).toBe(1);
    expect(await queue.status(late.id)).toBeUndefined();
    // Once more, after the limiter has forgotten the refund.
    await queue.redis.del(`${tenantLimitKeys(queue.prefix, TENANT)}receipt:${late.id}`);
    expect(await queue.refunds.resolve(late.id, charge)).toBeNull();
    expect(await queue.countCharged()).toBe(1);
  });

  it('is refunded if it shared the work of another', async () => {
    const queue = await setUpCharged();
    queue.network.losesReplies = losesReplies;
    await queue.admit(1);
    const sent = queue.request(1);
    const taken = await queue.limiter.take({ tenant: TENANT, id: sent.id, cost: COST, rules: RULES });
    if (!taken.allowed) throw new Error('refused');
    await queue.admit(1, { ...sent, charge: taken.charge });
    expect(await queue.refunds.resolve(sent.id, taken.charge)).toMatchObject({ state: { id: sent.id, cached: true } });
    expect(await queue.countCharged()).toBe(0);
  });
});

it('a refund whose record stays listed is remembered until it is removed, however long Redis is down between', async () => {
  const queue = await setUpCharged();
  const { id } = await queue.admitCharged(1);
  await queue.admitCharged(2);
  await queue.producer.cancel(id);
  const receipt = `${tenantLimitKeys(queue.prefix, TENANT)}receipt:${id}`;
  let isBroken = true;
  const breaking = new Proxy(queue.redis, {
    get(target, name) {
      if (name === 'zrem' && isBroken) return async () => Promise.reject(new Error('Connection is closed.'));
      return Reflect.get(target, name, target);
    },
  });
  const refunds = new Refunds(breaking, { prefix: queue.prefix, limiter: queue.limiter });
  await expect(refunds.settle('tiny')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await queue.countCharged()).toBe(1);
  expect(await queue.redis.pttl(receipt)).toBeGreaterThan(RECEIPT_MS);
  isBroken = false;
  expect(await refunds.settle('tiny')).toBe(1);
  expect(await queue.countCharged()).toBe(1);
  expect(await queue.redis.pttl(receipt)).toBeLessThanOrEqual(RECEIPT_MS);
});
