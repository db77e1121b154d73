import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { PRIORITIES, Result } from '../contract.ts';
import { REDIS_STEP_CHANNEL } from '../lua/lua-steps.ts';
import { MAX_OUTPUT_BYTES } from '../outputs.ts';
import { connect, failure, leftovers, setUp, success, takeOver } from '../test/queue.fixture.ts';
import { Consumer } from './consumer.ts';

describe('a prediction', () => {
  it('goes from admission to its result, and its pixels leave Redis when it ends', async () => {
    const { admit, consumer, producer, redis, prefix, keys } = await setUp();
    const { id } = await admit(7);
    expect(await producer.read(id)).toMatchObject({
      state: { status: 'QUEUED', attempts: 0, cached: false },
      position: 1,
    });
    const [job] = await consumer.waitForJobs();
    expect(job).toMatchObject({ jobId: id, readable: true, redelivered: false, options: { heatmap: false } });
    expect(job!.image).toEqual(Buffer.alloc(12, 7));
    const [started] = await consumer.start([job!]);
    expect(await producer.read(id)).toMatchObject({
      state: { status: 'PROCESSING', attempts: 1 },
      position: undefined,
    });
    expect(await consumer.settle([success(started!)])).toEqual(['settled']);
    const { state } = (await producer.read(id))!;
    expect(state).toMatchObject({
      status: 'SUCCEEDED',
      batchSize: 1,
      inferenceMs: 5,
      result: { labels: [{ index: 1 }] },
    });
    expect(state.finishedAtMs).toBeGreaterThanOrEqual(state.startedAtMs!);
    expect(await leftovers(redis, prefix)).toEqual([]);
    expect(await redis.hget(keys.counters, 'bytes')).toBe('0');
    expect(await redis.pttl(`${keys.prediction}${id}`)).toBeGreaterThan(0);
  });

  it('is one prediction when its admission is sent twice', async () => {
    const { producer, request, consumer } = await setUp();
    const sent = request(1);
    await producer.admit(sent);
    expect(await producer.admit(sent)).toMatchObject({ kind: 'admitted', state: { id: sent.id, revision: 1 } });
    expect(await consumer.claim(8)).toHaveLength(1);
  });

  it('settled by two workers ends once, with the first result', async () => {
    const { admit, consumer, producer } = await setUp();
    const { id } = await admit(1);
    const [started] = await consumer.start(await consumer.claim(1));
    expect(await consumer.settle([success(started!)])).toEqual(['settled']);
    expect(await consumer.settle([success(started!)])).toEqual(['gone']);
    expect((await producer.read(id))!.state.revision).toBe(3);
  });

  it('fails after its last attempt, and is found among the dead letters with its pixels', async () => {
    const { admit, consumer, producer, redis, keys, prefix } = await setUp({ maxAttempts: 2 });
    const { id } = await admit(9);
    const jobs = await consumer.claim(1);
    expect(await consumer.settle([failure((await consumer.start(jobs))[0]!)])).toEqual(['retry']);
    expect(await consumer.settle([failure((await consumer.start(jobs))[0]!)])).toEqual(['settled']);
    expect((await producer.read(id))!.state).toMatchObject({
      status: 'FAILED',
      errorCode: 'MODEL_FAILED',
      attempts: 2,
    });
    const [entry] = await redis.xrangeBuffer(keys.dead, '-', '+');
    expect(entry![1].at(-1)).toEqual(Buffer.alloc(12, 9));
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('that cannot be read fails at once and affects no other', async () => {
    const { admit, consumer, status } = await setUp();
    const bad = await admit(1, { image: Buffer.alloc(5) });
    const good = await admit(2);
    const jobs = await consumer.claim(8);
    expect(jobs.map((job) => job.readable)).toEqual([false, true]);
    const started = await consumer.start(jobs);
    const settled = await consumer.settle([
      { started: started[0]!, errorCode: 'UNREADABLE_JOB' },
      success(started[1]!),
    ]);
    expect(settled).toEqual(['settled', 'settled']);
    expect([await status(bad.id), await status(good.id)]).toEqual(['FAILED', 'SUCCEEDED']);
  });
});

describe('a worker', () => {
  it('that died before the start leaves its job to another, with all attempts', async () => {
    const { admit, consumer, addWorker } = await setUp({ visibilityMs: 1 });
    const { id } = await admit(1);
    await consumer.claim(8);
    const other = await addWorker();
    await expect
      .poll(async () => (await other.reclaim(8)).map((job) => [job.jobId, job.redelivered]))
      .toEqual([[id, false]]);
  });

  it('that died in the middle leaves a job marked as redelivered; the late result of the first still counts once', async () => {
    const { admit, consumer, addWorker, status } = await setUp({ visibilityMs: 1 });
    const { id } = await admit(1);
    const [first] = await consumer.start(await consumer.claim(8));
    const other = await addWorker();
    const taken = await takeOver(other);
    expect(taken[0]!.redelivered).toBe(true);
    const [second] = await other.start(taken);
    expect(second!.attempt).toBe(2);
    expect(await consumer.settle([failure(first!)])).toEqual(['gone']);
    expect(await status(id)).toBe('PROCESSING');
    expect(await consumer.settle([success(first!)])).toEqual(['settled']);
    expect(await other.settle([success(second!)])).toEqual(['gone']);
    expect(await status(id)).toBe('SUCCEEDED');
  });

  it('that is lost at each attempt ends the prediction FAILED as WORKER_LOST', async () => {
    const { admit, consumer, addWorker, producer } = await setUp({ visibilityMs: 1, maxAttempts: 2 });
    const { id } = await admit(1);
    await consumer.start(await consumer.claim(8));
    for (const attempt of [2, 3]) {
      const next = await addWorker();
      expect(await next.start(await takeOver(next))).toHaveLength(attempt === 2 ? 1 : 0);
      // A worker drains until it holds nothing.
      expect(next.held.size).toBe(attempt === 2 ? 1 : 0);
    }
    expect((await producer.read(id))!.state).toMatchObject({ status: 'FAILED', errorCode: 'WORKER_LOST', attempts: 2 });
  });

  it('that extends its leases keeps its jobs, and does not take back those that another one reclaimed', async () => {
    const { admit, consumer, addWorker, redis, model, keys } = await setUp({ visibilityMs: 200 });
    await admit(1);
    const jobs = await consumer.claim(8);
    /** Who holds the entry, and when it was last claimed or renewed, by Redis' clock: both read at one moment. */
    const look = async () => {
      const stream = `${keys.stream}${model.version}:NORMAL`;
      const [time, pending] = (await redis.multi().time().xpending(stream, 'workers', '-', '+', 10).exec())!;
      const [seconds, microseconds] = time![1] as [string, string];
      const [[, owner, idleMs]] = pending![1] as [[string, string, number]];
      const nowMs = Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
      return { owner, nowMs, heldSinceMs: nowMs - idleMs };
    };
    const claimed = await look();
    await expect.poll(async () => (await look()).nowMs).toBeGreaterThan(claimed.nowMs + 5);
    await consumer.extendLeases(jobs);
    expect((await look()).heldSinceMs).toBeGreaterThan(claimed.nowMs);
    const other = await addWorker();
    await expect.poll(() => other.reclaim(8)).toHaveLength(1);
    await consumer.extendLeases(jobs);
    expect(await consumer.start(jobs)).toEqual([]);
    expect((await look()).owner).toBe('worker2');
  });

  it('that leaves releases what it holds at once', async () => {
    const { admit, consumer, addWorker } = await setUp();
    await admit(1);
    await consumer.claim(8);
    await consumer.deregister();
    const other = await addWorker();
    expect(await other.reclaim(8)).toHaveLength(1);
  });

  it('claims from every lane: the urgent first, the lowest never starved', async () => {
    const { admit, consumer } = await setUp();
    for (let i = 0; i < 30; i++) {
      await admit(i, { priority: 'LOW', share: false });
      await admit(i, { priority: 'HIGH', share: false });
    }
    const lanes: string[] = [];
    for (let i = 0; i < 24; i++) lanes.push((await consumer.claim(1))[0]!.stream.split(':').at(-1)!);
    expect(lanes[0]).toBe('HIGH');
    expect(lanes.filter((lane) => lane === 'LOW').length).toBeGreaterThanOrEqual(1);
    expect(lanes.filter((lane) => lane === 'HIGH').length).toBeGreaterThan(16);
    expect(await consumer.claim(60)).toHaveLength(36);
  });

  it.each([true, false])(
    'claims as many as it asked for if all lanes have more, with fair shares %s',
    async (fairShares) => {
      const { admit, addWorker } = await setUp({ fairShares });
      for (const max of [1, 3, 4, 8]) {
        for (const priority of PRIORITIES) for (let i = 0; i < 10; i++) await admit(i, { priority, share: false });
        const consumer = await addWorker();
        const counts: number[] = [];
        for (let left = 30; left > 0; left -= counts.at(-1)!) {
          const jobs = await consumer.claim(max);
          await consumer.settle((await consumer.start(jobs)).map(success));
          counts.push(jobs.length);
        }
        expect(counts.slice(0, -1)).toEqual(counts.slice(0, -1).map(() => max));
        expect(counts.at(-1)).toBeLessThanOrEqual(max);
      }
    },
  );
});

it('a version is current once it is registered, and is replaced only when nobody serves it', async () => {
  const { prefix, redis, producer, registry, model, consumer, request } = await setUp();
  const next = { ...model, version: 'bbbbbbbbbbbb' };
  const worker = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: 'next' });
  await worker.register({ worker: 'next', version: next.version, engine: 'scripted', startedAtMs: 0 });
  expect((await registry.models()).map(({ version }) => version)).toEqual(['bbbbbbbbbbbb']);
  const heartbeat = { worker: 'worker1', version: model.version, engine: 'scripted', startedAtMs: 0 };
  await consumer.register(heartbeat);
  expect(await producer.admit(request(1))).toEqual({ kind: 'staleVersion' });
  await worker.deregister();
  await consumer.register(heartbeat);
  expect((await registry.models()).map(({ version }) => version)).toEqual([model.version]);
  expect(await registry.queueState('tiny')).toMatchObject({ waiting: 0, workers: [{ worker: 'worker1' }] });
});

it('what a retired version left behind runs on the next one if the images fit, and ends FAILED if they do not', async () => {
  const { prefix, redis, producer, model, consumer, admit, keys } = await setUp({ graceMs: 0 });
  const [first, second] = [await admit(1), await admit(2)];
  await consumer.start(await consumer.claim(1));
  async function replace(version: string, width: number) {
    const next = { ...model, version, input: { ...model.input, width } };
    const worker = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: version });
    await worker.register({ worker: version, version, engine: 'scripted', startedAtMs: 0 });
    return worker;
  }
  const fitting = await replace('bbbbbbbbbbbb', 2);
  expect(await fitting.migrateRetired()).toBe(0);
  await consumer.deregister();
  expect(await fitting.migrateRetired()).toBe(2);
  const jobs = await fitting.claim(8);
  expect(jobs.map(({ jobId, redelivered }) => [jobId, redelivered])).toEqual([
    [first.id, true],
    [second.id, false],
  ]);
  const started = await fitting.start(jobs);
  await fitting.settle(started.slice(0, 1).map(success));
  expect((await producer.read(first.id))!.state).toMatchObject({ status: 'SUCCEEDED', version: 'bbbbbbbbbbbb' });
  await fitting.deregister();

  const other = await replace('cccccccccccc', 3);
  expect(await other.migrateRetired()).toBe(1);
  expect((await producer.read(second.id))!.state).toMatchObject({ status: 'FAILED', errorCode: 'VERSION_RETIRED' });
  expect(Object.keys(await redis.hgetall(keys.specs)).sort()).toEqual(['cccccccccccc', 'current']);
});

it('a result of another version does not answer a request for this one', async () => {
  const { prefix, redis, producer, registry, model, consumer, admit, request } = await setUp();
  async function serve(version: string, worker: string) {
    const changed = { ...model, version };
    const next = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: changed, worker });
    await next.register({ worker, version, engine: 'scripted', startedAtMs: 0 });
    return next;
  }
  await admit(1, { cacheTtlMs: 60_000 });
  const fitting = await serve('bbbbbbbbbbbb', 'next');
  await consumer.deregister();
  expect(await fitting.migrateRetired()).toBe(1);
  const back = await serve(model.version, 'back');
  expect(await admit(1, { cacheTtlMs: 60_000 })).toMatchObject({ status: 'QUEUED', cached: false });
  await fitting.settle((await fitting.start(await fitting.claim(8))).map(success));
  await producer.cancel((await back.claim(8))[0]!.jobId);
  expect(await producer.admit(request(1, { cacheTtlMs: 60_000 }))).toMatchObject({ state: { status: 'QUEUED' } });
  expect(await registry.queueState('tiny')).toMatchObject({ waiting: 1, processing: 0, queuedBytes: 12 });
});

it('a model that is withdrawn is not offered again by the heartbeat of an older version on its way out', async () => {
  const { prefix, redis, registry, model, consumer, admit } = await setUp();
  const next = { ...model, version: 'bbbbbbbbbbbb' };
  const newer = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: 'newer' });
  await newer.register({ worker: 'newer', version: next.version, engine: 'scripted', startedAtMs: 0 });
  const leaving = { worker: 'older', version: model.version, engine: 'scripted', startedAtMs: 0 };
  await consumer.register(leaving, { leaving: true });
  expect(await registry.models()).toMatchObject([{ version: next.version }]);
  expect(await newer.withdraw()).toBe(true);
  await consumer.register(leaving, { leaving: true });
  expect(await registry.models()).toEqual([]);
  await expect(admit(1)).rejects.toThrow();
});

it('settles long results step by step, each once', async () => {
  const { admit, consumer, producer } = await setUp();
  const ids = [];
  for (let n = 1; n <= 16; n++) ids.push((await admit(n)).id);
  const started = await consumer.start(await consumer.claim(16));
  const data = Buffer.alloc(MAX_OUTPUT_BYTES).toString('base64');
  const vector = { type: 'embedding', name: 'vector', size: MAX_OUTPUT_BYTES / 4, data } as const;
  const outcomes = started.map((one) => ({ ...success(one), result: { labels: [], outputs: [vector] } }));
  const steps: unknown[] = [];
  const note = (message: unknown) => steps.push(message);
  subscribe(REDIS_STEP_CHANNEL, note);
  expect(await consumer.settle(outcomes)).toEqual(ids.map(() => 'settled'));
  unsubscribe(REDIS_STEP_CHANNEL, note);
  expect(steps).toHaveLength(2);
  expect(await consumer.settle(outcomes)).toEqual(ids.map(() => 'gone'));
  for (const id of ids) {
    expect((await producer.read(id))!.state.result?.outputs).toEqual([vector]);
  }
});

it('reads what a later release stores of outputs, and ignores what it does not know', () => {
  const known = { type: 'embedding', name: 'vector', size: 1, data: 'AACAPw==' };
  const result = { labels: [], outputs: [{ type: 'mesh', name: 'shape', faces: 3 }, known] };
  expect(Result.parse(result).outputs).toEqual([known]);
  expect(() => Result.parse({ labels: [], outputs: [{ ...known, size: 'one' }] })).toThrow();
});
