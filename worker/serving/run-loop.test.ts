/** The worker's loop on a real Redis, with an engine that the test controls. */

import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { Consumer, type Outcome, WORKER_LIFETIME_MS } from '@inferql/queue/jobs/consumer';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { makeScriptedModel, ScriptedModels } from '../engines/scripted/scripted-models.ts';
import { createCoreScheduler } from './core-scheduler.ts';
import { type ModelLoop, type ModelLoopOptions, startModelLoop } from './run-loop.ts';

const CLASSES = 3;

let server: TestRedis;
let queue: QueueHarness;
let connections: RedisConnection[];
let loops: ModelLoop[];

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());
beforeEach(() => {
  queue = createQueueHarness(server.url);
  connections = [];
  loops = [];
});
afterEach(async () => {
  await Promise.all(loops.map((loop) => loop.drain()));
  await queue.close();
  for (const connection of connections) connection.disconnect();
});

/** Every image is of class 1, and maps are not available. */
const engine: ModelLoopOptions['engine'] = {
  hasHeatmaps: true,
  pid: () => undefined,
  rssBytes: () => 0,
  downSinceMs: () => undefined,
  ready: async () => undefined,
  close: async () => undefined,
  async run(images, wantHeatmaps) {
    if (wantHeatmaps) throw new InferqlError('MODEL_FAILED');
    return { inferenceMs: 1, probabilities: Float32Array.from(images.flatMap(() => [0, 1, 0])) };
  },
};

interface Setting {
  name?: string;
  Kind?: typeof Consumer;
  batching?: Partial<ServedModel['batching']>;
  queue?: Partial<ServedModel['queue']>;
  options?: Partial<ModelLoopOptions>;
}

async function serve({ name = 'scripted', Kind = Consumer, batching, queue: lease, options }: Setting = {}) {
  const input = { width: 2, height: 2, channels: 3 };
  const [scripted] = ScriptedModels.parse(
    JSON.stringify([{ name, classCount: CLASSES, input, batching, queue: lease }]),
  );
  const { labels, candidates, ...spec } = makeScriptedModel(scripted!);
  const model: ServedModel = { ...spec, engine: 'scripted', engineReason: 'a test', heatmap: { available: true } };
  const [redis, blockingRedis] = (['work', 'blocking'] as const).map((role) => connectRedis(server.url, role));
  connections.push(redis!, blockingRedis!);
  const consumer = new Kind({
    redis: redis!,
    blockingRedis: blockingRedis!,
    prefix: queue.prefix,
    model,
    worker: 'worker',
  });
  const loop = await startModelLoop({
    consumer,
    engine,
    model,
    labels,
    scheduler: createCoreScheduler(),
    worker: 'worker',
    log: pino({ level: 'silent' }),
    ...options,
  });
  loops.push(loop);
  return { loop, consumer, redis: redis!, model: await queue.model(name) };
}

/** An engine whose first run waits for `mayFail`, and which then is down until it is closed. */
function createLostEngine(mayFail: () => Promise<void>) {
  let downSinceMs: number | undefined;
  let close = () => {};
  const closed = new Promise<never>((_resolve, reject) => {
    close = () => reject(new InferqlError('UNAVAILABLE'));
  });
  closed.catch(() => undefined);
  const lost: ModelLoopOptions['engine'] = {
    ...engine,
    downSinceMs: () => downSinceMs,
    ready: async () => (downSinceMs === undefined ? undefined : closed),
    close: async () => close(),
    async run() {
      if (downSinceMs !== undefined) return closed;
      await mayFail();
      downSinceMs = performance.now();
      throw new InferqlError('ENGINE_CRASHED');
    },
  };
  return lost;
}

test('heatmaps that cannot be drawn fail the predictions that requested one, and no other', async () => {
  const { model } = await serve();
  const image = new Uint8Array(2 * 2 * 3);
  const ids = await Promise.all(
    [false, true, false].map((heatmap) => queue.submit(model, image, { options: { heatmap } })),
  );
  const ends = await Promise.all(ids.map((id) => queue.end(id)));
  expect(ends.map(({ status }) => status)).toEqual(['SUCCEEDED', 'FAILED', 'SUCCEEDED']);
  expect(ends[1]).toMatchObject({ errorCode: 'MODEL_FAILED', attempts: model.queue.maxAttempts });
});

test('results that Redis refuses are retried by the same worker if there is no other', async () => {
  let refusals = 0;
  class RefusedConsumer extends Consumer {
    override async settle(outcomes: Outcome[]) {
      if (refusals++ < 5) throw new Error('ERR refused by the test');
      return await super.settle(outcomes);
    }
  }
  const { model } = await serve({ Kind: RefusedConsumer });
  const id = await queue.submit(model, new Uint8Array(2 * 2 * 3));
  expect(await queue.end(id)).toMatchObject({ status: 'SUCCEEDED', attempts: 2 });
}, 20_000);

test('a model whose engine does not come back does not keep the cores from other models', async () => {
  const scheduler = createCoreScheduler();
  const second = { held: async () => {} };
  const lost = createLostEngine(() => second.held());
  const broken = await serve({ name: 'broken', batching: { maxBatchSize: 1 }, options: { scheduler, engine: lost } });
  second.held = async () => {
    while (broken.consumer.held.size < 2) await new Promise((resolve) => setImmediate(resolve));
    // Replies come in order: then the next batch is complete.
    await broken.redis.ping();
  };
  const { model } = await serve({ name: 'sound', options: { scheduler } });
  const image = new Uint8Array(2 * 2 * 3);
  for (let count = 0; count < 3; count++) await queue.submit(broken.model, image);
  const id = await queue.submit(model, image);
  expect((await queue.end(id)).status).toBe('SUCCEEDED');
  await lost.close();
});

test('a drain does not wait for an engine that does not come back, and other workers reclaim what it held', async () => {
  const engine = createLostEngine(async () => {});
  const setting: Setting = { queue: { visibilityMs: 300 } };
  const { loop, consumer, model } = await serve({ ...setting, options: { engine } });
  const id = await queue.submit(model, new Uint8Array(2 * 2 * 3));
  await queue.when(id, ({ status }) => status === 'PROCESSING');
  await loop.drain();
  expect(consumer.held.size).toBe(0);
  await serve({ ...setting, name: 'scripted' });
  expect(await queue.end(id)).toMatchObject({ status: 'SUCCEEDED', attempts: 2 });
});

/** A consumer that notes its heartbeats. */
function createHeartbeats() {
  const sent: { leaving: boolean }[] = [];
  class CountedConsumer extends Consumer {
    override async register(...[record, { leaving = false } = {}]: Parameters<Consumer['register']>) {
      sent.push({ leaving });
      await super.register(record, { leaving });
    }
  }
  return { Kind: CountedConsumer, sent };
}

/** An engine whose runs wait until it is opened. */
function createHeldEngine() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const held: ModelLoopOptions['engine'] = {
    ...engine,
    async run(images) {
      await opened;
      return await engine.run(images, false);
    },
  };
  return { held, open };
}

test('a registration that Redis does not take at first is sent again', async () => {
  let refusals = 0;
  class RefusedConsumer extends Consumer {
    override async register(...args: Parameters<Consumer['register']>) {
      if (refusals++ === 0) throw new Error('ERR refused by the test');
      await super.register(...args);
    }
  }
  const { model } = await serve({ Kind: RefusedConsumer });
  expect((await queue.end(await queue.submit(model, new Uint8Array(2 * 2 * 3)))).status).toBe('SUCCEEDED');
});

test('a model that its only worker withdraws gets no work and no heartbeat anymore, and all that waits for it is done', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const { held, open } = createHeldEngine();
  const { Kind, sent } = createHeartbeats();
  const { loop, model } = await serve({ Kind, batching: { maxBatchSize: 1 }, options: { engine: held } });
  const image = new Uint8Array(2 * 2 * 3);
  const ids = await Promise.all([1, 2, 3, 4].map(() => queue.submit(model, image)));
  const withdrawn = loop.withdraw();
  await queue.untilRegistry(
    (registry) => registry.models(),
    (models) => models.length === 0,
  );
  await vi.advanceTimersByTimeAsync(WORKER_LIFETIME_MS);
  expect(sent).toHaveLength(1);
  open();
  await withdrawn;
  expect((await Promise.all(ids.map((id) => queue.end(id)))).map(({ status }) => status)).toEqual(
    ids.map(() => 'SUCCEEDED'),
  );
});

test.each(['retire', 'drain'] as const)(
  'while a worker ends its work (%s), its heartbeats say that it leaves',
  async (how) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { held, open } = createHeldEngine();
    const { Kind, sent } = createHeartbeats();
    const { loop, model } = await serve({ Kind, options: { engine: held } });
    const id = await queue.submit(model, new Uint8Array(2 * 2 * 3));
    await queue.when(id, ({ status }) => status === 'PROCESSING');
    const ended = loop[how]();
    await vi.advanceTimersByTimeAsync(WORKER_LIFETIME_MS / 3);
    expect(sent).toEqual([{ leaving: false }, { leaving: true }]);
    open();
    await ended;
    expect((await queue.end(id)).status).toBe('SUCCEEDED');
  },
);
