import { describe, expect, it } from 'vitest';
import { ANONYMOUS_CALLER } from '../contract.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { leftovers, setUp, success } from '../test/queue.fixture.ts';

async function readClockMs(redis: RedisConnection): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}

describe('the end of a prediction before its result', () => {
  it('by cancel takes it off the queue; a running one drops its result; the first transition wins', async () => {
    const { admit, consumer, producer, redis, prefix } = await setUp();
    const waiting = await admit(1);
    const running = await admit(2);
    const jobs = await consumer.claim(8);
    const started = await consumer.start(jobs.filter((job) => job.jobId === running.id));
    expect(await producer.cancel(waiting.id)).toMatchObject({ status: 'CANCELED' });
    expect(await producer.cancel(running.id)).toMatchObject({ status: 'CANCELED' });
    expect(await consumer.start(jobs.filter((job) => job.jobId === waiting.id))).toEqual([]);
    expect(await consumer.settle([success(started[0]!)])).toEqual(['gone']);
    expect(await producer.cancel(running.id)).toMatchObject({ status: 'CANCELED', revision: 3 });
    expect(await producer.cancel('tiny.AAAAAAAAAAAAAAAAAAAAAA')).toBeNull();
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('by its deadline needs no worker, and frees the payload', async () => {
    const { admit, producer, redis, prefix } = await setUp();
    const { id, deadlineMs } = await admit(1, { timeoutMs: 300 });
    await expect.poll(() => producer.expireDue('tiny')).toBe(1);
    expect(await readClockMs(redis)).toBeGreaterThanOrEqual(deadlineMs);
    expect((await producer.read(id))!.state).toMatchObject({ status: 'EXPIRED', errorCode: 'DEADLINE_EXCEEDED' });
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('by its deadline comes in steps of bounded length', async () => {
    const { admit, producer, redis, request } = await setUp({ maxQueueSize: 1_000 });
    await Promise.all(Array.from({ length: 200 }, () => producer.admit(request(1, { timeoutMs: 1 }))));
    const { deadlineMs } = await admit(1, { timeoutMs: 1 });
    await expect.poll(() => readClockMs(redis)).toBeGreaterThanOrEqual(deadlineMs);
    const ended = [await producer.expireDue('tiny'), await producer.expireDue('tiny')];
    expect(ended).toEqual([200, 1]);
  });

  it('by its caller’s disconnection happens only while it waits and shares its job with nobody', async () => {
    const { admit, consumer, producer, status } = await setUp();
    const [first, second, third] = [await admit(1), await admit(1), await admit(2)];
    const leave = (id: string) => producer.cancel(id, { onlyAbandoned: true });
    expect(await leave(first.id)).toMatchObject({ status: 'QUEUED' });
    await producer.cancel(second.id);
    expect(await leave(first.id)).toMatchObject({ status: 'CANCELED' });
    await consumer.start(await consumer.claim(1));
    expect(await leave(third.id)).toMatchObject({ status: 'PROCESSING' });
    expect(await status(third.id)).toBe('PROCESSING');
  });

  it('by its deadline leaves the work to those that share it and have more time', async () => {
    const { admit, consumer, producer, status } = await setUp();
    const first = await admit(1);
    const second = await admit(1, { timeoutMs: 1 });
    const started = await consumer.start(await consumer.claim(1));
    const third = await admit(1, { timeoutMs: 1 });
    await expect.poll(async () => (await producer.expireDue('tiny')) || (await status(third.id))).toBe('EXPIRED');
    expect(await status(second.id)).toBe('EXPIRED');
    expect(await consumer.settle(started.map(success))).toEqual(['settled']);
    expect(await status(first.id)).toBe('SUCCEEDED');
  });

  it('by its deadline is seen by the start step even if nobody swept', async () => {
    const { admit, consumer, status } = await setUp();
    const { id } = await admit(1, { timeoutMs: 1 });
    const jobs = await consumer.claim(8);
    await expect.poll(async () => (await consumer.start(jobs)).length === 0 && (await status(id))).toBe('EXPIRED');
  });
});

describe('sharing', () => {
  it('counts the work as that of one of the others if the prediction it was made for is canceled', async () => {
    const { admit, consumer, producer } = await setUp();
    const first = await admit(1);
    const second = await admit(1);
    expect([first.cached, second.cached]).toEqual([false, true]);
    await producer.cancel(first.id);
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
    expect((await producer.read(second.id))!.state).toMatchObject({ status: 'SUCCEEDED', cached: false });
  });

  it('computes identical work once; canceling one follower leaves the other', async () => {
    const { admit, consumer, producer, status } = await setUp();
    const first = await admit(1);
    const second = await admit(1);
    expect([first.cached, second.cached, second.jobId]).toEqual([false, true, first.id]);
    await producer.cancel(first.id);
    const jobs = await consumer.claim(8);
    expect(jobs).toHaveLength(1);
    const [started] = await consumer.start(jobs);
    const third = await admit(1);
    expect(third).toMatchObject({ status: 'PROCESSING', cached: true, startedAtMs: expect.any(Number) });
    await consumer.settle([success(started!)]);
    expect([await status(first.id), await status(second.id), await status(third.id)]).toEqual([
      'CANCELED',
      'SUCCEEDED',
      'SUCCEEDED',
    ]);
    expect((await admit(1)).status).toBe('QUEUED');
  });

  it('moves the job into the lane of its most urgent follower, unless a worker has claimed it', async () => {
    const { admit, consumer, producer, registry, redis, prefix } = await setUp();
    const low = await admit(1, { priority: 'LOW' });
    const before = await admit(2);
    const high = await admit(1, { priority: 'HIGH' });
    expect((await producer.readMany([high.id, low.id, before.id])).map((one) => one!.position)).toEqual([1, 1, 2]);
    const [hastened] = await consumer.claim(1);
    expect(hastened).toMatchObject({ jobId: low.id, image: Buffer.alloc(12, 1), redelivered: false });
    const [claimed] = await consumer.claim(1);
    expect(await admit(2, { priority: 'HIGH' })).toMatchObject({ jobId: before.id });
    const started = await consumer.start([hastened!, claimed!]);
    expect(started.map(({ attempt }) => attempt)).toEqual([1, 1]);
    expect(await consumer.settle(started.map(success))).toEqual(['settled', 'settled']);
    expect((await registry.queueState('tiny'))!).toMatchObject({ waiting: 0, processing: 0, queuedBytes: 0 });
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('lets a bounded number of predictions follow one job, so that no step is long', async () => {
    const { admit, request, producer, registry, consumer, redis, prefix } = await setUp();
    const outcomes = await Promise.all(Array.from({ length: 250 }, () => producer.admit(request(1))));
    const jobIds = outcomes.map((outcome) => (outcome.kind === 'admitted' ? outcome.state.jobId : outcome.kind));
    const followers = [...new Set(jobIds)].map((job) => jobIds.filter((id) => id === job).length);
    expect(followers).toEqual([100, 100, 50]);
    const [first, ...others] = await consumer.start(await consumer.claim(8));
    expect(await consumer.settle([success(first!)])).toEqual(['settled']);
    // The end of one job leaves the latest one to be shared.
    expect((await admit(1)).jobId).toBe(others[1]!.job.jobId);
    expect(await consumer.settle(others.map(success))).toEqual(['settled', 'settled']);
    expect((await registry.queueState('tiny'))!.ended.SUCCEEDED).toBe(251);
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('answers from the cache while it lasts, and can be switched off', async () => {
    const { admit, consumer, registry, redis, prefix, keys } = await setUp();
    await admit(1, { cacheTtlMs: 60_000 });
    const [started] = await consumer.start(await consumer.claim(8));
    await consumer.settle([success(started!)]);
    expect(await admit(1, { cacheTtlMs: 60_000 })).toMatchObject({
      status: 'SUCCEEDED',
      cached: true,
      result: { labels: [{ index: 1 }] },
    });
    expect(await leftovers(redis, prefix)).toEqual([]);
    expect((await registry.queueState('tiny'))!.ended.SUCCEEDED).toBe(2);
    const [cached] = await redis.keys(`${keys.cache}*`);
    expect(await redis.pttl(cached!)).toBeLessThanOrEqual(60_000);
    expect(await admit(1)).toMatchObject({ status: 'QUEUED', cached: false });
    expect(await admit(1, { share: false })).toMatchObject({ status: 'QUEUED', cached: false });
  });

  it('takes work as identical only with the same pixels, options and version', async () => {
    const { admit, consumer, model, redis, keys } = await setUp();
    for (const request of [
      { share: false, cacheTtlMs: 60_000 },
      { share: true, cacheTtlMs: 0 },
    ]) {
      const first = await admit(1, request);
      if (!request.share) {
        await consumer.settle((await consumer.start(await consumer.claim(8))).map(success));
      }
      expect((await admit(1, request)).cached).toBe(true);
      expect((await admit(2, request)).cached).toBe(false);
      expect((await admit(1, { ...request, options: { heatmap: true } })).cached).toBe(false);
      await redis.hset(keys.specs, 'current', 'bbbbbbbbbbbb');
      const next = await admit(1, { ...request, model: { ...model, version: 'bbbbbbbbbbbb' } });
      expect([next.cached, next.jobId === first.id]).toEqual([false, false]);
      await redis.hset(keys.specs, 'current', model.version);
    }
  });

  it('gives the same prediction for the same idempotency key, per tenant', async () => {
    const { admit, producer, request } = await setUp();
    const first = await admit(1, { idempotencyKey: 'k' });
    expect((await admit(1, { idempotencyKey: 'k' })).id).toBe(first.id);
    expect(await producer.admit(request(2, { idempotencyKey: 'k' }))).toEqual({ kind: 'idempotencyConflict' });
    expect((await admit(2, { idempotencyKey: 'k', caller: { ...ANONYMOUS_CALLER, tenant: 'another' } })).id).not.toBe(
      first.id,
    );
    expect((await admit(1, { idempotencyKey: 'k', repeatOnly: true })).id).toBe(first.id);
    await producer.cancel(first.id);
    const again = request(2, { idempotencyKey: 'k', repeatOnly: true });
    expect(await producer.admit(again)).toEqual({ kind: 'notRepeated' });
    expect((await admit(2, { idempotencyKey: 'k' })).id).not.toBe(first.id);
  });

  it('knows an idempotency key for as long as the prediction', async () => {
    const { admit, consumer, redis, keys } = await setUp();
    const { id } = await admit(1, { idempotencyKey: 'k' });
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
    const [key] = await redis.keys(`${keys.idempotency}*`);
    expect(await redis.pttl(key!)).toBeGreaterThanOrEqual(await redis.pttl(`${keys.prediction}${id}`));
  });
});

describe('pushing back', () => {
  it('beyond maxQueueSize and maxQueuedBytes, with figures; a refusal leaves nothing behind', async () => {
    const { admit, producer, request } = await setUp({ maxQueueSize: 2 });
    await admit(1);
    await admit(2);
    const refused = request(3, { idempotencyKey: 'k' });
    expect(await producer.admit(refused)).toEqual({ kind: 'queueFull', waiting: 2, queuedBytes: 24 });
    expect(await producer.read(refused.id)).toBeNull();
    const tiny = await setUp({ maxQueueSize: 1 });
    for (let i = 0; i < 10; i++) await tiny.admit(1);
    // Those that share a job have no pixels, but states.
    expect(await tiny.producer.admit(tiny.request(1))).toEqual({ kind: 'queueFull', waiting: 1, queuedBytes: 12 });
    const small = await setUp({ maxQueuedBytes: 20 });
    await small.admit(1);
    expect(await small.producer.admit(small.request(2))).toEqual({ kind: 'queueFull', waiting: 1, queuedBytes: 12 });
  });

  it('as unavailable if no worker was alive within the grace period; a worker within it claims what was queued', async () => {
    const patient = await setUp({ graceMs: 60_000 });
    await patient.consumer.deregister();
    await patient.admit(1);
    expect(await (await patient.addWorker()).claim(8)).toHaveLength(1);
    const { consumer, producer, request } = await setUp();
    await consumer.deregister();
    await expect.poll(async () => (await producer.admit(request(1, { share: false }))).kind).toBe('unavailable');
  });

  it('as UNAVAILABLE, typed, if Redis is full, while what was accepted still ends', async () => {
    const { admit, consumer, producer, redis, request, status } = await setUp();
    const { id } = await admit(1);
    const [job] = await consumer.claim(8);
    await redis.config('SET', 'maxmemory', '1');
    try {
      await expect(producer.admit(request(2))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      const [started] = await consumer.start([job!]);
      expect(await consumer.settle([success(started!)])).toEqual(['settled']);
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    expect(await status(id)).toBe('SUCCEEDED');
  });
});
