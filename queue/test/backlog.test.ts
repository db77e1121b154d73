import { describe, expect, it } from 'vitest';
import { Consumer } from '../jobs/consumer.ts';
import { createDeadLetters } from '../jobs/dead-letter-admin.ts';
import { by, flood } from './fairness.fixture.ts';
import { connect, failure, leftovers, setUp, success } from './queue.fixture.ts';

describe('the bounded share of a tenant', () => {
  it('leaves room for newcomers, however many come', async () => {
    const { producer, request, status } = await setUp({ maxQueueSize: 100 });
    const tryToHold = async (tenant: string, count: number) => {
      let admitted = 0;
      for (let i = 0; i < count; i++) {
        const sent = request(i, { caller: by(tenant), share: false, tenantShare: 0.8 });
        if ((await producer.admit(sent)).kind === 'admitted') admitted += 1;
      }
      return admitted;
    };
    expect(await tryToHold('flood', 150)).toBe(80);
    expect(await tryToHold('second', 150)).toBe(16);
    expect(await tryToHold('third', 5)).toBeGreaterThanOrEqual(1);
    const refused = request(1, { caller: by('flood'), share: false, tenantShare: 0.8 });
    expect(await producer.admit(refused)).toMatchObject({ kind: 'queueFull' });
    expect(await status(refused.id)).toBeUndefined();
  });

  it('bounds bytes, too, and is the whole queue if the share is 1', async () => {
    const { producer, request } = await setUp({ maxQueueSize: 100, maxQueuedBytes: 120 });
    const kinds: string[] = [];
    const send = async (tenantShare: number) =>
      (await producer.admit(request(1, { caller: by('a'), share: false, tenantShare }))).kind;
    for (let i = 0; i < 10; i++) kinds.push(await send(0.5));
    expect(kinds.filter((kind) => kind === 'admitted')).toHaveLength(5);
    for (let i = 0; i < 6; i++) kinds.push(await send(1));
    expect(kinds.filter((kind) => kind === 'admitted')).toHaveLength(10);
  });
});

describe('open predictions of a tenant', () => {
  it('are bounded, too: thousands that share one job leave room for others', async () => {
    const { producer, request, admit, consumer, redis, keys } = await setUp({ maxQueueSize: 2 });
    const send = (tenant: string) => producer.admit(request(1, { caller: by(tenant), tenantShare: 0.5 }));
    const kinds: string[] = [];
    for (let i = 0; i < 15; i++) kinds.push((await send('flood')).kind);
    expect(kinds.filter((kind) => kind === 'admitted')).toHaveLength(10);
    expect((await send('other')).kind).toBe('admitted');
    expect(await redis.hgetall(keys.open)).toEqual({ flood: '10', other: '1' });
    await consumer.settle((await consumer.start(await consumer.claim(8))).map(success));
    await expect(admit(1, { caller: by('flood') })).resolves.toMatchObject({ status: 'QUEUED' });
    expect(await redis.hgetall(keys.open)).toEqual({ flood: '1' });
  });
});

describe('deadlines out of reach', () => {
  it('are refused by position and measured rate, but not if no rate is known', async () => {
    const queue = await setUp();
    const { producer, request } = queue;
    await flood(queue, by('a'), 20);
    const ask = async (tenant: string, timeoutMs: number, capacityPerSecond?: number) =>
      await producer.admit(request(1, { caller: by(tenant), timeoutMs, capacityPerSecond, share: false }));
    // 21st at 10 a second: it ends after 2.1 s.
    expect(await ask('a', 1_500, 10)).toEqual({ kind: 'deadlineUnreachable', lateMs: 600 });
    expect(await ask('a', 2_100, 10)).toMatchObject({ kind: 'admitted', position: 21 });
    // A tenant without a backlog is next but two at most.
    expect(await ask('b', 500, 10)).toMatchObject({ kind: 'admitted' });
    expect(await ask('a', 1, undefined)).toMatchObject({ kind: 'admitted' });
  });

  it('leave nothing behind, and a cached answer is still given', async () => {
    const { producer, request, consumer, admit } = await setUp();
    const refused = request(1, { timeoutMs: 10, capacityPerSecond: 1, idempotencyKey: 'k' });
    expect(await producer.admit(refused)).toMatchObject({ kind: 'deadlineUnreachable' });
    expect(await producer.read(refused.id)).toBeNull();
    await admit(1, { cacheTtlMs: 60_000 });
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
    const cached = request(1, { timeoutMs: 10, capacityPerSecond: 1, cacheTtlMs: 60_000 });
    expect(await producer.admit(cached)).toMatchObject({ kind: 'admitted', state: { status: 'SUCCEEDED' } });
  });
});

describe('what waits in a backlog', () => {
  it('keeps its pixels, is claimed by a worker that waits, and leaves nothing behind', async () => {
    const queue = await setUp();
    const ids = await flood(queue, by('a'), 20);
    await flood(queue, by('b'), 5);
    const pixels = new Map<string, number>();
    while (pixels.size < 25) {
      const jobs = [...(await queue.consumer.waitForJobs()), ...(await queue.consumer.claim(3))];
      for (const job of jobs) {
        expect([job.readable, job.image.length, new Set(job.image).size]).toEqual([true, 12, 1]);
        pixels.set(job.jobId, job.image[0]!);
      }
      await queue.consumer.settle((await queue.consumer.start(jobs)).map(success));
    }
    expect(ids.map((id) => pixels.get(id))).toEqual(ids.map((_, i) => i));
    expect(await leftovers(queue.redis, queue.prefix)).toEqual([]);
  });

  it('keeps its pixels among the dead letters, too', async () => {
    const queue = await setUp({ maxAttempts: 1 });
    await flood(queue, by('a'), 3);
    await queue.consumer.settle((await queue.consumer.start(await queue.consumer.claim(3))).map(failure));
    const letters = createDeadLetters(queue.redis, { prefix: queue.prefix });
    const kept = await letters.list('tiny');
    expect(kept).toMatchObject(Array(3).fill({ imageBytes: 12, tenant: 'a' }));
    await letters.retry('tiny', kept[2]!.entryId);
    expect((await queue.consumer.claim(1))[0]).toMatchObject({ image: Buffer.alloc(12, 2), tenant: 'a' });
  });

  it('wakes a blocked worker when another one claimed what was in the stream', async () => {
    const queue = await setUp();
    const other = await queue.addWorker();
    await flood(queue, by('a'), 3);
    const taken = await queue.consumer.waitForJobs();
    expect(taken).toHaveLength(1);
    const waiting = other.waitForJobs();
    await queue.consumer.start(taken);
    const woken = await waiting;
    // It waits for a second at most, in which a busy machine may not get that far.
    expect(woken.length > 0 ? woken : await other.waitForJobs()).toHaveLength(1);
  });

  it('wakes a blocked worker when what was in the stream is canceled', async () => {
    const queue = await setUp();
    const ids = await flood(queue, by('a'), 3);
    await queue.producer.cancel(ids[0]!);
    expect((await queue.consumer.waitForJobs()).map(({ jobId }) => jobId)).toEqual([ids[1]]);
  });

  it('is found even if the worker that claimed what was in the stream is lost', async () => {
    const queue = await setUp();
    const ids = await flood(queue, by('a'), 3);
    expect(await queue.consumer.waitForJobs()).toHaveLength(1);
    const other = await queue.addWorker();
    expect(await other.waitForJobs()).toEqual([]);
    expect((await other.claim(8)).map(({ jobId }) => jobId)).toEqual(ids.slice(1));
  });

  it('moves to the next version if the images fit, in its order, and ends FAILED if they do not', async () => {
    const queue = await setUp({ graceMs: 0 });
    const { prefix, redis, model, consumer, producer, keys } = queue;
    const a = await flood(queue, by('a'), 4);
    const b = await flood(queue, by('b'), 3);
    async function replace(version: string, width: number) {
      const next = { ...model, version, input: { ...model.input, width } };
      const worker = new Consumer({
        redis,
        blockingRedis: connect('blocking'),
        prefix,
        model: next,
        worker: version,
      });
      await worker.register({ worker: version, version, engine: 'scripted', startedAtMs: 0 });
      return worker;
    }
    const virtualTime = `virtual:${model.version}:NORMAL`;
    await redis.hset(keys.counters, virtualTime, 1);
    const fitting = await replace('bbbbbbbbbbbb', 2);
    await consumer.deregister();
    expect(await fitting.migrateRetired()).toBe(7);
    expect(await redis.keys(`${keys.fair}${model.version}*`)).toEqual([]);
    expect(await redis.keys(`${keys.stream}${model.version}*`)).toEqual([]);
    expect(await redis.hexists(keys.counters, virtualTime)).toBe(0);
    const jobs = await fitting.claim(4);
    expect(jobs.filter(({ tenant }) => tenant === 'a').map(({ jobId }) => jobId)).toEqual(a.slice(0, 2));
    expect(jobs.filter(({ tenant }) => tenant === 'b').map(({ jobId }) => jobId)).toEqual(b.slice(0, 2));
    await fitting.settle((await fitting.start(jobs)).map(success));
    expect(await fitting.isDrained()).toBe(false);
    await fitting.deregister();
    const other = await replace('cccccccccccc', 3);
    expect(await other.migrateRetired()).toBe(3);
    const ends = await producer.readMany([a[3]!, b[2]!]);
    expect(ends.map((one) => one!.state.errorCode)).toEqual(['VERSION_RETIRED', 'VERSION_RETIRED']);
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('is hastened by a more urgent prediction of its tenant that shares it, and not shared with another tenant', async () => {
    const queue = await setUp();
    await flood(queue, by('a'), 5, 'LOW');
    const shared = { shareAcrossTenants: true };
    const low = await queue.admit(99, { ...shared, caller: by('a'), priority: 'LOW' });
    const other = await queue.admit(99, { ...shared, caller: by('b'), priority: 'LOW' });
    expect(other.jobId).toBe(other.id);
    const later = await queue.admit(98, { ...shared, caller: by('a'), priority: 'LOW' });
    const high = await queue.admit(98, { ...shared, caller: by('a'), priority: 'HIGH' });
    expect(high.jobId).toBe(later.id);
    expect((await queue.producer.read(later.id))!.position).toBe(1);
    const [first] = await queue.consumer.claim(1);
    expect(first).toMatchObject({ jobId: later.id, image: Buffer.alloc(12, 98) });
    expect(low.jobId).toBe(low.id);
  });
});
