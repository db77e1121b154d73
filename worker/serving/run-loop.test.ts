/** The worker's loop on a real Redis, with an engine that the test controls. */

import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { Consumer, type Outcome } from '@inferql/queue/jobs/consumer';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { makeScriptedModel, ScriptedModels } from '../engines/scripted/scripted-models.ts';
import { createCoreScheduler } from './core-scheduler.ts';
import { type ModelLoop, type ModelLoopOptions, startModelLoop } from './run-loop.ts';

const CLASSES = 3;

let server: TestRedis;
let queue: QueueHarness;
let connections: RedisConnection[];
let loop: ModelLoop;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());
beforeEach(() => {
  queue = createQueueHarness(server.url);
  connections = (['work', 'blocking'] as const).map((role) => connectRedis(server.url, role));
});
afterEach(async () => {
  await loop.drain();
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

async function serve(Kind: typeof Consumer = Consumer) {
  const input = { width: 2, height: 2, channels: 3 };
  const [scripted] = ScriptedModels.parse(JSON.stringify([{ name: 'scripted', classCount: CLASSES, input }]));
  const { labels, candidates, ...spec } = makeScriptedModel(scripted!);
  const model: ServedModel = { ...spec, engine: 'scripted', engineReason: 'a test', heatmap: { available: true } };
  const [redis, blockingRedis] = connections;
  const consumer = new Kind({
    redis: redis!,
    blockingRedis: blockingRedis!,
    prefix: queue.prefix,
    model,
    worker: 'worker',
  });
  loop = await startModelLoop({
    consumer,
    engine,
    model,
    labels,
    scheduler: createCoreScheduler(),
    worker: 'worker',
    log: pino({ level: 'silent' }),
  });
  return queue.model('scripted');
}

test('heatmaps that cannot be drawn fail the predictions that requested one, and no other', async () => {
  const model = await serve();
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
  const model = await serve(RefusedConsumer);
  const id = await queue.submit(model, new Uint8Array(2 * 2 * 3));
  expect(await queue.end(id)).toMatchObject({ status: 'SUCCEEDED', attempts: 2 });
}, 20_000);
