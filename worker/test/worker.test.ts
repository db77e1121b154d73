/** The worker's promises on a real Redis, with real engine processes that give scripted answers. */
import { join } from 'node:path';
import type { PredictionState, ServedModel } from '@inferql/queue/contract';
import { Consumer } from '@inferql/queue/jobs/consumer';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { GROUP, modelKeys, streamKey } from '@inferql/queue/redis/keys';
import { buildSystem } from '@inferql/testing/build';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ScriptedBehavior } from '../engines/engine.ts';
import { makeScriptedModel, ScriptedModels } from '../engines/scripted/scripted-models.ts';
import { createCoreScheduler } from '../serving/core-scheduler.ts';
import { type ModelServer, type ModelServerOptions, startModelServer } from '../serving/model-server.ts';

const log = pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' });
const IMAGE_BYTES = 4 * 4 * 3;

let buildDir: string;
let server: TestRedis;
let bed: QueueHarness;
let workRedis: RedisConnection;
let services: ModelServer[] = [];

beforeAll(async () => {
  [buildDir, server] = await Promise.all([buildSystem(), startTestRedis()]);
});
afterAll(() => server?.stop());
beforeEach(() => {
  bed = createQueueHarness(server.url);
  workRedis = connectRedis(server.url, 'work');
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.drain()));
  services = [];
  await bed.close();
  workRedis.disconnect();
});

interface Setting {
  name?: string;
  script?: Partial<ScriptedBehavior>;
  batching?: Partial<ServedModel['batching']>;
  queue?: Partial<ServedModel['queue']>;
  options?: Partial<ModelServerOptions>;
}

async function serve({ name = 'scripted', script, batching, queue, options }: Setting = {}): Promise<ModelServer> {
  const input = { width: 4, height: 4, channels: 3 };
  const [model] = ScriptedModels.parse(JSON.stringify([{ name, classCount: 500, input, script, batching, queue }]));
  const service = await startModelServer({
    servable: makeScriptedModel(model!),
    redis: workRedis,
    redisUrl: server.url,
    prefix: bed.prefix,
    scheduler: createCoreScheduler(),
    worker: `worker-${services.length + 1}`,
    engineThreads: 1,
    engineTimeLimitMs: 10_000,
    engineLoadLimitMs: 120_000,
    log,
    childPath: join(buildDir, 'worker/engines/process/engine-process-main.js'),
    ...options,
  });
  services.push(service);
  return service;
}

/** An image whose best class is `index`. */
function imageOf(index: number): Uint8Array {
  const image = new Uint8Array(IMAGE_BYTES);
  image[0] = index % 256;
  image[1] = Math.floor(index / 256);
  return image;
}

const bestOf = (state: PredictionState) => state.result?.labels[0]?.index;

test('64 predictions at once each get the right answer, in batches of at most maxBatchSize', async () => {
  await serve({ script: { waitMs: 5 }, batching: { maxBatchSize: 8 } });
  const model = await bed.model('scripted');
  const ids = await Promise.all(Array.from({ length: 64 }, (_, index) => bed.submit(model, imageOf(index + 200))));
  const ends = await Promise.all(ids.map((id) => bed.end(id)));
  expect(ends.map(bestOf)).toEqual(ids.map((_, index) => index + 200));
  const sizes = ends.map(({ batchSize }) => batchSize!);
  expect(Math.max(...sizes)).toBe(8);
  for (const state of ends) expect(state).toMatchObject({ status: 'SUCCEEDED', attempts: 1 });
});

test('one poisonous image ends FAILED alone, its neighbors succeed', async () => {
  const service = await serve({ script: { waitMs: 20, throwOn: [13] } });
  const model = await bed.model('scripted');
  const enginePid = service.engine.pid();
  const ids = await Promise.all([1, 2, 13, 4, 5].map((index) => bed.submit(model, imageOf(index))));
  const ends = await Promise.all(ids.map((id) => bed.end(id)));
  expect(ends.map(({ status }) => status)).toEqual(['SUCCEEDED', 'SUCCEEDED', 'FAILED', 'SUCCEEDED', 'SUCCEEDED']);
  expect(ends[2]).toMatchObject({ errorCode: 'MODEL_FAILED', attempts: model.queue.maxAttempts });
  expect(ends.filter(({ status }) => status === 'SUCCEEDED').map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1]);
  expect(service.engine.pid()).toBe(enginePid);
});

test('an image for which the engine answers NaN ends FAILED alone', async () => {
  await serve({ script: { waitMs: 20, nanOn: [7] } });
  const model = await bed.model('scripted');
  const ids = await Promise.all([7, 8, 9].map((index) => bed.submit(model, imageOf(index))));
  const ends = await Promise.all(ids.map((id) => bed.end(id)));
  expect(ends.map(({ status }) => status)).toEqual(['FAILED', 'SUCCEEDED', 'SUCCEEDED']);
  expect(ends[0]!.errorCode).toBe('MODEL_FAILED');
});

test.each<{ how: string; script: Partial<ScriptedBehavior>; code: string }>([
  { how: 'exits', script: { exitOn: [66] }, code: 'ENGINE_CRASHED' },
  { how: 'aborts', script: { abortOn: [66] }, code: 'ENGINE_CRASHED' },
  { how: 'hangs', script: { hangOn: [66] }, code: 'ENGINE_TIMEOUT' },
])('an image on which the engine $how ends FAILED with $code, all others succeed', async ({ script, code }) => {
  // Long enough for the others after a restart, also on a machine that is busy.
  await serve({ script: { waitMs: 10, ...script }, queue: { maxAttempts: 2 }, options: { engineTimeLimitMs: 2_000 } });
  const model = await bed.model('scripted');
  const wanted = Array.from({ length: 20 }, (_, index) => 60 + index);
  const ids = await Promise.all(wanted.map((index) => bed.submit(model, imageOf(index))));
  const ends = await Promise.all(ids.map((id) => bed.end(id)));
  for (const [index, state] of ends.entries()) {
    if (wanted[index] === 66) expect(state).toMatchObject({ status: 'FAILED', errorCode: code, attempts: 2 });
    else expect([state.status, bestOf(state)]).toEqual(['SUCCEEDED', wanted[index]]);
  }
});

test('an unreadable job affects no other: strange entries vanish, a wrong image ends UNREADABLE_JOB', async () => {
  await serve({ script: { waitMs: 10 } });
  const model = await bed.model('scripted');
  const raw = new Redis(server.url);
  const stream = streamKey(modelKeys(bed.prefix, 'scripted'), model.version, 'NORMAL');
  await raw.xadd(stream, '*', 'nonsense', '\u0000');
  await raw.xadd(stream, '*', 'job', 'nobody', 'image', 'x', 'options', '{');
  const [short, good] = await Promise.all([bed.submit(model, new Uint8Array(5)), bed.submit(model, imageOf(3))]);
  expect(await bed.end(short)).toMatchObject({ status: 'FAILED', errorCode: 'UNREADABLE_JOB' });
  expect(bestOf(await bed.end(good))).toBe(3);
  await services.pop()!.drain();
  expect(await raw.xlen(stream)).toBe(0);
  raw.disconnect();
});

test('a job whose worker died in the middle is run alone by another; one that was only claimed joins a batch', async () => {
  const queue = { visibilityMs: 300 };
  const first = await serve({ script: { waitMs: 1 }, queue });
  const model = await bed.model('scripted');
  await services.pop()!.drain();
  // A worker that dies: it claims and starts, and then sends nothing more.
  const blockingRedis = connectRedis(server.url, 'blocking');
  const dead = new Consumer({
    redis: workRedis,
    blockingRedis,
    prefix: bed.prefix,
    model: first.model,
    worker: 'dead',
  });
  await dead.register({ worker: 'dead', version: model.version, engine: 'scripted', startedAtMs: Date.now() });
  const ids = await Promise.all([1, 2, 3, 4].map((index) => bed.submit(model, imageOf(index))));
  const claimed = await dead.claim(8);
  expect(claimed).toHaveLength(4);
  await dead.start(claimed.slice(0, 2));
  blockingRedis.disconnect();
  await serve({ script: { waitMs: 1 }, queue });
  const ends = await Promise.all(ids.map((id) => bed.end(id)));
  expect(ends.map(bestOf)).toEqual([1, 2, 3, 4]);
  const byJob = new Map(ends.map((state) => [state.jobId, state]));
  const started = claimed.slice(0, 2).map(({ jobId }) => byJob.get(jobId)!);
  expect(started.map(({ attempts, batchSize }) => [attempts, batchSize])).toEqual([
    [2, 1],
    [2, 1],
  ]);
  for (const { jobId } of claimed.slice(2)) expect(byJob.get(jobId)!.attempts).toBe(1);
});

test('a drain finishes what is held, claims nothing more, and leaves no trace', async () => {
  const service = await serve({ script: { waitMs: 200 }, batching: { maxBatchSize: 2 } });
  const model = await bed.model('scripted');
  const ids = await Promise.all(Array.from({ length: 12 }, (_, index) => bed.submit(model, imageOf(index))));
  await Promise.race(ids.map((id) => bed.when(id, ({ status }) => status === 'PROCESSING')));
  const enginePid = service.engine.pid()!;
  await service.drain();
  services = [];
  const snapshots = await bed.producer.readMany(ids);
  const statuses = snapshots.map((snapshot) => snapshot!.state.status);
  expect(new Set(statuses)).toEqual(new Set(['SUCCEEDED', 'QUEUED']));
  expect((await bed.registry.queueState('scripted'))!.workers).toEqual([]);
  expect(() => process.kill(enginePid, 0)).toThrow();
  // The next worker finishes what it left.
  await serve({ script: { waitMs: 200 }, batching: { maxBatchSize: 2 } });
  for (const id of ids) expect((await bed.end(id)).status).toBe('SUCCEEDED');
});

test('the next batch is claimed while the engine still runs', async () => {
  const hanging = 3;
  const service = await serve({
    script: { waitMs: 20, hangOn: [hanging] },
    batching: { maxBatchSize: 1 },
    queue: { maxAttempts: 1 },
  });
  const model = await bed.model('scripted');
  const stream = streamKey(modelKeys(bed.prefix, model.name), model.version, 'NORMAL');
  const raw = new Redis(server.url);
  const monitor = await raw.monitor();
  const ids = await Promise.all([1, 2, hanging, 4].map((index) => bed.submit(model, imageOf(index))));
  const claimed = new Promise<void>((resolve) => {
    monitor.on('monitor', async (_time: string, [command]: string[]) => {
      if (command?.toLowerCase() === 'xpending') return;
      const [pending] = (await workRedis.xpending(stream, GROUP)) as [number];
      if (pending === 2 && bed.heard(ids[2]!).at(-1)!.status === 'PROCESSING') resolve();
    });
  });
  await claimed;
  monitor.disconnect();
  raw.disconnect();
  process.kill(service.engine.pid()!, 'SIGKILL');
  expect(await bed.end(ids[2]!)).toMatchObject({ status: 'FAILED', errorCode: 'ENGINE_CRASHED' });
  expect(bestOf(await bed.end(ids[3]!))).toBe(4);
});

test('a canceled prediction is not run, and one canceled during its run stays canceled', async () => {
  await serve({ script: { waitMs: 1_500 }, batching: { maxBatchSize: 1 } });
  const model = await bed.model('scripted');
  const running = await bed.submit(model, imageOf(1));
  await bed.when(running, ({ status }) => status === 'PROCESSING');
  const waiting = await bed.submit(model, imageOf(2));
  await Promise.all([bed.producer.cancel(waiting), bed.producer.cancel(running)]);
  const last = await bed.submit(model, imageOf(3));
  expect(bestOf(await bed.end(last))).toBe(3);
  expect(await bed.end(running)).toMatchObject({ status: 'CANCELED', attempts: 1 });
  expect(await bed.end(waiting)).toMatchObject({ status: 'CANCELED', attempts: 0 });
  expect(bed.heard(running).filter(({ status }) => status === 'SUCCEEDED')).toEqual([]);
});

test('a job that takes longer than its lease is extended and not reclaimed', async () => {
  const setting: Setting = { script: { waitMs: 4_000 }, queue: { visibilityMs: 1_500 }, batching: { maxBatchSize: 1 } };
  await serve(setting);
  await serve(setting);
  const model = await bed.model('scripted');
  const id = await bed.submit(model, imageOf(9));
  expect(await bed.end(id)).toMatchObject({ status: 'SUCCEEDED', attempts: 1 });
});

test('two models share one worker, and each answers its predictions', async () => {
  const scheduler = createCoreScheduler();
  await serve({ name: 'one', script: { waitMs: 10 }, options: { scheduler } });
  await serve({ name: 'two', script: { waitMs: 10, throwOn: [99] }, options: { scheduler } });
  const models = [await bed.model('one'), await bed.model('two')];
  const ids = await Promise.all(
    Array.from({ length: 40 }, (_, index) => bed.submit(models[index % 2]!, imageOf(index))),
  );
  const ends = await Promise.all(ids.map((id) => bed.end(id)));
  expect(ends.map(bestOf)).toEqual(ids.map((_, index) => index));
  expect(ends.map(({ model }) => model)).toEqual(ids.map((_, index) => (index % 2 === 0 ? 'one' : 'two')));
});

test('a worker survives a Redis that is killed and restarted', async () => {
  const own = await startTestRedis({ persistent: true });
  const ownBed = createQueueHarness(own.url);
  const ownRedis = connectRedis(own.url, 'work');
  ownRedis.on('error', () => {});
  const [scripted] = ScriptedModels.parse(
    JSON.stringify([{ name: 'scripted', input: { width: 4, height: 4 }, script: { waitMs: 300 } }]),
  );
  const service = await startModelServer({
    servable: makeScriptedModel(scripted!),
    redis: ownRedis,
    redisUrl: own.url,
    prefix: ownBed.prefix,
    scheduler: createCoreScheduler(),
    worker: 'survivor',
    engineThreads: 1,
    engineTimeLimitMs: 10_000,
    engineLoadLimitMs: 120_000,
    log,
    childPath: join(buildDir, 'worker/engines/process/engine-process-main.js'),
  });
  const model = await ownBed.model('scripted');
  const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => ownBed.submit(model, imageOf(index))));
  await Promise.race(ids.map((id) => ownBed.when(id, ({ status }) => status === 'PROCESSING')));
  await own.kill9();
  await own.restart();
  const ends = await Promise.all(ids.map((id) => ownBed.end(id)));
  expect(ends.map(bestOf)).toEqual(ids.map((_, index) => index));
  await service.drain();
  await ownBed.close();
  ownRedis.disconnect();
  await own.stop();
});
