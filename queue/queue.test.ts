import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestRedis, type TestRedis } from '../e2e/support/redis.ts';
import { type Consumer, createConsumer, type Outcome, type StartedJob } from './consumer.ts';
import { type JobOptions, newPredictionId, type PredictionState, type ServedModel } from './contract.ts';
import { createEventChannel } from './events.ts';
import { modelKeys } from './keys.ts';
import { type AdmitRequest, createProducer } from './producer.ts';
import { connectRedis, type RedisConnection } from './redis.ts';

let server: TestRedis;
const connections: RedisConnection[] = [];
let prefixCount = 0;

beforeAll(async () => {
  server = await startTestRedis();
});
afterEach(() => {
  for (const connection of connections.splice(0)) connection.disconnect();
});
afterAll(() => server.stop());

function connect(role: Parameters<typeof connectRedis>[1]): RedisConnection {
  const connection = connectRedis(server.url, role);
  connection.on('error', () => undefined);
  connections.push(connection);
  return connection;
}

function servedModel(queue: Partial<ServedModel['queue']> = {}): ServedModel {
  return {
    name: 'tiny',
    version: 'aaaaaaaaaaaa',
    description: '',
    engine: 'scripted',
    engineReason: 'a test',
    precision: 'float32',
    input: { width: 2, height: 2, channels: 3, kernel: 'linear' },
    classCount: 3,
    heatmap: { available: false },
    batching: { maxBatchSize: 8, maxQueueDelayMs: 0 },
    queue: {
      maxQueueSize: 100,
      maxQueuedBytes: 1_000_000,
      defaultTimeoutMs: 60_000,
      resultTtlMs: 60_000,
      visibilityMs: 10_000,
      maxAttempts: 3,
      graceMs: 0,
      ...queue,
    },
  };
}

/** A queue of its own: a prefix that no other test has. */
async function setUp(queue: Partial<ServedModel['queue']> = {}) {
  const prefix = `test${++prefixCount}`;
  const model = servedModel(queue);
  const redis = connect('work');
  const producer = createProducer(redis, { prefix });
  let workers = 0;
  async function addWorker(): Promise<Consumer> {
    const worker = `worker${++workers}`;
    const consumer = createConsumer({ redis, blockingRedis: connect('blocking'), prefix, model, worker });
    await consumer.announce({ worker, version: model.version, engine: 'scripted', startedAtMs: 0 });
    return consumer;
  }
  const consumer = await addWorker();
  function request(pixel: number, more: Partial<AdmitRequest> = {}): AdmitRequest {
    const options: JobOptions = { heatmap: false };
    return {
      id: newPredictionId(model.name),
      model,
      image: Buffer.alloc(12, pixel),
      options,
      priority: 'NORMAL',
      timeoutMs: 60_000,
      caller: 'anonymous',
      share: true,
      cacheTtlMs: 0,
      ...more,
    };
  }
  async function admit(pixel: number, more: Partial<AdmitRequest> = {}): Promise<PredictionState> {
    const outcome = await producer.admit(request(pixel, more));
    if (outcome.kind !== 'admitted') throw new Error(`not admitted: ${outcome.kind}`);
    return outcome.state;
  }
  async function status(id: string) {
    return (await producer.read(id))?.state.status;
  }
  return {
    prefix,
    model,
    redis,
    producer,
    consumer,
    addWorker,
    request,
    admit,
    status,
    keys: modelKeys(prefix, model.name),
  };
}

function success(started: StartedJob): Outcome {
  return { started, result: { labels: [{ index: 1, name: 'one', score: 1 }] }, batchSize: 1, inferenceMs: 5 };
}

function failure(started: StartedJob): Outcome {
  return { started, errorCode: 'MODEL_FAILED' };
}

/** What Redis holds beside the predictions' own states, once nothing is open. */
async function leftovers(redis: RedisConnection, prefix: string): Promise<string[]> {
  const keys = await redis.keys(`${prefix}:{tiny}:*`);
  const streams = await Promise.all(keys.filter((key) => key.includes(':stream:')).map((key) => redis.xlen(key)));
  return [
    ...keys.filter((key) => /:(job|followers|shared|waiting|deadlines)(:|$)/.test(key)),
    ...streams.filter((length) => length > 0).map((length) => `stream of ${length}`),
  ];
}

describe('a prediction', () => {
  it('goes from admission to its result, and its pixels leave Redis with its end', async () => {
    const { admit, consumer, producer, redis, prefix, keys } = await setUp();
    const { id } = await admit(7);
    expect(await producer.read(id)).toMatchObject({
      state: { status: 'QUEUED', attempts: 0, cached: false },
      position: 1,
    });
    const [job] = await consumer.waitForJobs();
    expect(job).toMatchObject({ jobId: id, readable: true, recovered: false, options: { heatmap: false } });
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

  it('that cannot be read fails at once and harms nobody', async () => {
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
      .poll(async () => (await other.recover(8)).map((job) => [job.jobId, job.recovered]))
      .toEqual([[id, false]]);
  });

  it('that died in the middle leaves a job marked as recovered; the late result of the first still counts once', async () => {
    const { admit, consumer, addWorker, status } = await setUp({ visibilityMs: 1 });
    const { id } = await admit(1);
    const [first] = await consumer.start(await consumer.claim(8));
    const other = await addWorker();
    let taken: Awaited<ReturnType<Consumer['recover']>> = [];
    await expect.poll(async () => (taken = await other.recover(8)).length).toBe(1);
    expect(taken[0]!.recovered).toBe(true);
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
      let taken: Awaited<ReturnType<Consumer['recover']>> = [];
      await expect.poll(async () => (taken = await next.recover(8)).length).toBe(1);
      expect(await next.start(taken)).toHaveLength(attempt === 2 ? 1 : 0);
    }
    expect((await producer.read(id))!.state).toMatchObject({ status: 'FAILED', errorCode: 'WORKER_LOST', attempts: 2 });
  });

  it('that renews keeps its jobs, and does not take back those that another one took over', async () => {
    const { admit, consumer, addWorker, redis, model, keys } = await setUp({ visibilityMs: 200 });
    await admit(1);
    const jobs = await consumer.claim(8);
    const pendingOf = async () =>
      (await redis.xpending(`${keys.stream}${model.version}:NORMAL`, 'workers', '-', '+', 10)) as [
        string,
        string,
        number,
      ][];
    await expect.poll(async () => (await pendingOf())[0]![2]).toBeGreaterThan(50);
    await consumer.renew(jobs);
    expect((await pendingOf())[0]![2]).toBeLessThan(50);
    const other = await addWorker();
    await expect.poll(() => other.recover(8)).toHaveLength(1);
    await consumer.renew(jobs);
    expect((await pendingOf())[0]![1]).toBe('worker2');
  });

  it('that leaves gives what it holds free at once', async () => {
    const { admit, consumer, addWorker } = await setUp();
    await admit(1);
    await consumer.claim(8);
    await consumer.leave();
    const other = await addWorker();
    expect(await other.recover(8)).toHaveLength(1);
  });

  it('takes from every lane: the urgent first, the lowest never starved', async () => {
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
});

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
    const { id } = await admit(1, { timeoutMs: 1 });
    await expect.poll(() => producer.expireDue('tiny')).toBe(1);
    expect((await producer.read(id))!.state).toMatchObject({ status: 'EXPIRED', errorCode: 'DEADLINE_EXCEEDED' });
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('by its deadline is seen by the start step even where nobody swept', async () => {
    const { admit, consumer, status } = await setUp();
    const { id } = await admit(1, { timeoutMs: 1 });
    const jobs = await consumer.claim(8);
    await expect.poll(async () => (await consumer.start(jobs)).length === 0 && (await status(id))).toBe('EXPIRED');
  });
});

describe('sharing', () => {
  it('computes identical work once; cancelling one follower leaves the other', async () => {
    const { admit, consumer, producer, status } = await setUp();
    const first = await admit(1);
    const second = await admit(1);
    expect([first.cached, second.cached, second.jobId]).toEqual([false, true, first.id]);
    await producer.cancel(first.id);
    const jobs = await consumer.claim(8);
    expect(jobs).toHaveLength(1);
    const [started] = await consumer.start(jobs);
    const third = await admit(1);
    expect(third).toMatchObject({ status: 'PROCESSING', cached: true });
    await consumer.settle([success(started!)]);
    expect([await status(first.id), await status(second.id), await status(third.id)]).toEqual([
      'CANCELED',
      'SUCCEEDED',
      'SUCCEEDED',
    ]);
    expect((await admit(1)).status).toBe('QUEUED');
  });

  it('answers from the cache while it lasts, and can be switched off', async () => {
    const { admit, consumer } = await setUp();
    await admit(1, { cacheTtlMs: 60_000 });
    const [started] = await consumer.start(await consumer.claim(8));
    await consumer.settle([success(started!)]);
    expect(await admit(1, { cacheTtlMs: 60_000 })).toMatchObject({
      status: 'SUCCEEDED',
      cached: true,
      result: { labels: [{ index: 1 }] },
    });
    expect(await admit(1)).toMatchObject({ status: 'QUEUED', cached: false });
    expect(await admit(1, { share: false })).toMatchObject({ status: 'QUEUED', cached: false });
  });

  it('gives the same prediction for the same idempotency key, per caller', async () => {
    const { admit, producer, request } = await setUp();
    const first = await admit(1, { idempotencyKey: 'k' });
    expect((await admit(1, { idempotencyKey: 'k' })).id).toBe(first.id);
    expect(await producer.admit(request(2, { idempotencyKey: 'k' }))).toEqual({ kind: 'idempotencyConflict' });
    expect((await admit(2, { idempotencyKey: 'k', caller: 'another' })).id).not.toBe(first.id);
    await producer.cancel(first.id);
    expect((await admit(2, { idempotencyKey: 'k' })).id).not.toBe(first.id);
  });
});

describe('pushing back', () => {
  it('beyond maxQueueSize and maxQueuedBytes, in figures; a refusal leaves nothing behind', async () => {
    const { admit, producer, request } = await setUp({ maxQueueSize: 2 });
    await admit(1);
    await admit(2);
    const refused = request(3, { idempotencyKey: 'k' });
    expect(await producer.admit(refused)).toEqual({ kind: 'queueFull', waiting: 2, queuedBytes: 24 });
    expect(await producer.read(refused.id)).toBeNull();
    const small = await setUp({ maxQueuedBytes: 20 });
    await small.admit(1);
    expect(await small.producer.admit(small.request(2))).toEqual({ kind: 'queueFull', waiting: 1, queuedBytes: 12 });
  });

  it('as unavailable once no worker lived for the grace period; a worker within it takes what was queued', async () => {
    const patient = await setUp({ graceMs: 60_000 });
    await patient.consumer.leave();
    await patient.admit(1);
    expect(await (await patient.addWorker()).claim(8)).toHaveLength(1);
    const { consumer, producer, request } = await setUp();
    await consumer.leave();
    await expect.poll(async () => (await producer.admit(request(1, { share: false }))).kind).toBe('unavailable');
  });

  it('as UNAVAILABLE, typed, where Redis is full, while what was accepted still ends', async () => {
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

describe('the channel', () => {
  async function listen(prefix: string) {
    const heard: { id: string; revision: number; status: string }[] = [];
    const gaps: string[] = [];
    const subscriber = connect('subscriber');
    const channel = createEventChannel(
      { subscriber, redis: connect('work'), prefix },
      {
        onState: (id, revision, parse) => heard.push({ id, revision, status: parse().status }),
        onGap: (model) => gaps.push(model),
        onModelsChanged: () => undefined,
      },
    );
    await channel.subscribe('tiny');
    await expect.poll(() => channel.ready()).toBe(true);
    return { channel, heard, gaps, subscriber };
  }

  it('tells every change in order', async () => {
    const { prefix, admit, consumer } = await setUp();
    const { heard } = await listen(prefix);
    const { id } = await admit(1);
    const [started] = await consumer.start(await consumer.claim(8));
    await consumer.settle([success(started!)]);
    await expect
      .poll(() => heard)
      .toEqual([
        { id, revision: 2, status: 'PROCESSING' },
        { id, revision: 3, status: 'SUCCEEDED' },
      ]);
  });

  it('notices a lost message by the next one, and a lost last one by its audit', async () => {
    const { prefix, admit, producer, redis, keys } = await setUp();
    const { channel, gaps, heard } = await listen(prefix);
    const ids = [await admit(1), await admit(2), await admit(3)].map(({ id }) => id);
    await producer.cancel(ids[0]!);
    await expect.poll(() => heard.length).toBe(1);
    await channel.audit();
    const before = gaps.length;
    await redis.hincrby(keys.counters, 'sequence', 1);
    await producer.cancel(ids[1]!);
    await expect.poll(() => gaps.length).toBe(before + 1);
    await redis.hincrby(keys.counters, 'sequence', 1);
    await channel.audit();
    expect(gaps.length).toBe(before + 2);
  });

  it('comes back by itself after its connection was cut, and says that something may have been missed', async () => {
    const { prefix, admit, producer, redis } = await setUp();
    const { channel, gaps, heard } = await listen(prefix);
    const before = gaps.length;
    await redis.client('KILL', 'TYPE', 'pubsub');
    await expect.poll(() => gaps.length).toBeGreaterThan(before);
    expect(channel.ready()).toBe(true);
    await producer.cancel((await admit(1)).id);
    await expect.poll(() => heard.length).toBe(1);
  });
});

it('a version is current when it is announced, and gives way only when nobody serves it', async () => {
  const { prefix, redis, producer, model, consumer, request } = await setUp();
  const next = { ...model, version: 'bbbbbbbbbbbb' };
  const worker = createConsumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: 'next' });
  await worker.announce({ worker: 'next', version: next.version, engine: 'scripted', startedAtMs: 0 });
  expect((await producer.models()).map(({ version }) => version)).toEqual(['bbbbbbbbbbbb']);
  const heartbeat = { worker: 'worker1', version: model.version, engine: 'scripted', startedAtMs: 0 };
  await consumer.announce(heartbeat);
  expect(await producer.admit(request(1))).toEqual({ kind: 'staleVersion' });
  await worker.leave();
  await consumer.announce(heartbeat);
  expect((await producer.models()).map(({ version }) => version)).toEqual([model.version]);
  expect(await producer.queueState('tiny')).toMatchObject({ waiting: 0, workers: [{ worker: 'worker1' }] });
});
