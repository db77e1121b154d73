import { setTimeout as delay } from 'node:timers/promises';
import { ANONYMOUS_CALLER, newPredictionId } from '@inferql/queue/contract';
import { Consumer } from '@inferql/queue/jobs/consumer';
import { Producer } from '@inferql/queue/predictions/producer';
import { connectRedis } from '@inferql/queue/redis/connection';
import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';
import { makeServedModel } from '@inferql/testing/data/served-model';
import { startRpcChild } from '../child-rpc.ts';
import { machineClockMs, type SubscriberRequest, type SubscriberResponse } from '../events/plan.ts';
import { readMemory } from '../process-usage.ts';
import type { Bench, Section } from '../scenario.ts';
import { type Spread, spreadOf } from '../stats.ts';
import { startSystem } from '../system.ts';

const PER_SOCKET = 100;
const SETTLED = 200;
/** Pause between two ends, so that they do not overlap. */
const PAUSE_MS = 5;
/** A heartbeat keeps the model from counting as gone. */
const HEARTBEAT_MS = 2_000;
const WARM_UP = 100;
const SETTLE_DOWN_MS = 3_000;

const MODEL = makeServedModel('events', {
  classCount: 1000,
  queue: {
    maxQueueSize: 50_000,
    maxQueuedBytes: 268_435_456,
    defaultTimeoutMs: 3_600_000,
    visibilityMs: 600_000,
    graceMs: 600_000,
  },
});
const LABELS = Array.from({ length: 20 }, (_, index) => ({
  index,
  name: `class number ${index}`,
  score: 0.9 / (index + 1),
}));

/**
 * From the moment that a worker sends its settle step to Redis until the event is at the subscriber's socket. The worker is this
 * process, on the real queue; server and subscribers are separate processes.
 */
export async function measureEvents({ quick, print }: Bench): Promise<Section[]> {
  const rows: Row[] = [];
  for (const transport of ['sse', 'ws'] as const) {
    for (const open of quick ? [1_000, 10_000] : [1, 1_000, 10_000]) {
      const row = { open, transport, ...(await measureOpen(open, transport)) };
      rows.push(row);
      print(
        `${open} by ${transport}: p50 ${row.latencyMs.p50.toFixed(2)} ms, ${(row.bytesEach / 1024).toFixed(1)} KB each`,
      );
    }
  }
  const at = (open: number, transport: string) => rows.find((row) => row.open === open && row.transport === transport)!;
  return [
    {
      title: 'Events',
      how: `From a worker's settle step to the subscriber's socket, ${SETTLED} predictions one after the other, each watched by one of the open subscriptions. SSE: one connection per subscription; ws: ${PER_SOCKET} subscriptions per WebSocket. Each row uses a new system. Memory is the growth of the server's resident memory divided by the subscriptions.`,
      columns: ['open', 'transport', 'p50 ms', 'p95 ms', 'p99 ms', 'KB per subscription'],
      rows: rows.map(({ open, transport, latencyMs, bytesEach }) => [
        open,
        transport,
        latencyMs.p50.toFixed(2),
        latencyMs.p95.toFixed(2),
        latencyMs.p99.toFixed(2),
        open < 1_000 ? '' : (bytesEach / 1024).toFixed(1),
      ]),
      data: rows,
      goals: (['sse', 'ws'] as const).flatMap((transport) => [
        {
          goal: `settle to socket, p50, 1,000 open (${transport}) < 3 ms`,
          figure: `${at(1_000, transport).latencyMs.p50.toFixed(2)} ms`,
          met: at(1_000, transport).latencyMs.p50 < 3,
        },
        {
          goal: `memory per subscription, 10,000 open (${transport}) < 15 KB`,
          figure: `${(at(10_000, transport).bytesEach / 1024).toFixed(1)} KB`,
          met: at(10_000, transport).bytesEach < 15 * 1024,
        },
      ]),
    },
  ];
}

interface Row {
  open: number;
  transport: string;
  latencyMs: Spread;
  bytesEach: number;
}

async function measureOpen(open: number, transport: 'sse' | 'ws'): Promise<Pick<Row, 'latencyMs' | 'bytesEach'>> {
  const system = await startSystem({ workers: 0 });
  const subscribers = startRpcChild<SubscriberRequest, SubscriberResponse>('events/main.js');
  const redis = connectRedis(system.redisUrl, 'work');
  const blockingRedis = connectRedis(system.redisUrl, 'blocking');
  const consumer = new Consumer({ redis, blockingRedis, prefix: DEFAULT_PREFIX, model: MODEL, worker: 'bench' });
  const producer = new Producer(redis, { prefix: DEFAULT_PREFIX });
  const record = { worker: 'bench', version: MODEL.version, engine: 'scripted', startedAtMs: Date.now() };
  await consumer.register(record);
  const heartbeat = setInterval(() => void consumer.register(record), HEARTBEAT_MS);
  const server = system.pids.servers[0]!;
  const watch = async (count: number) => {
    const ids = await admitAll(producer, count);
    await subscribers.call({ type: 'open', url: system.urls[0]!, ids, transport, perSocket: PER_SOCKET });
  };
  const latencies: number[] = [];
  const settleSome = async (count: number) => {
    const settledAtMs = await settleOneByOne(consumer, count);
    const { arrivedAtMs } = await subscribers.call({ type: 'await', count });
    for (const [id, atMs] of settledAtMs) latencies.push(arrivedAtMs[id]! - atMs);
  };
  try {
    // The first ones load and compile shared code.
    await watch(WARM_UP);
    await settleSome(WARM_UP);
    await subscribers.call({ type: 'close' });
    latencies.length = 0;
    const before = readMemory(server).rssBytes;
    await watch(open);
    // The heap grows in steps and shrinks late; a pause lets the garbage collector run.
    await delay(SETTLE_DOWN_MS);
    const bytesEach = (readMemory(server).rssBytes - before) / open;
    if (open >= SETTLED) await settleSome(SETTLED);
    else {
      await settleSome(open);
      while (latencies.length < SETTLED) {
        await subscribers.call({ type: 'close' });
        await watch(open);
        await settleSome(open);
      }
    }
    return { latencyMs: spreadOf(latencies), bytesEach };
  } finally {
    clearInterval(heartbeat);
    await subscribers.close();
    redis.disconnect();
    blockingRedis.disconnect();
    await system.stop();
  }
}

async function admitAll(producer: Producer, count: number): Promise<string[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const id = newPredictionId(MODEL.name);
      const outcome = await producer.admit({
        id,
        model: MODEL,
        image: new Uint8Array(12),
        options: { heatmap: false },
        priority: 'NORMAL',
        timeoutMs: MODEL.queue.defaultTimeoutMs,
        caller: ANONYMOUS_CALLER,
        share: false,
        cacheTtlMs: 0,
      });
      if (outcome.kind !== 'admitted') throw new Error(`not admitted: ${outcome.kind}`);
      return id;
    }),
  );
}

/** When each prediction's settle step was sent. */
async function settleOneByOne(consumer: Consumer, count: number): Promise<Map<string, number>> {
  const settledAtMs = new Map<string, number>();
  while (settledAtMs.size < count) {
    const [started] = await consumer.start(await consumer.claim(1));
    if (!started) continue;
    // The event of the start has passed when the measured one arrives.
    await delay(PAUSE_MS);
    const sentAtMs = machineClockMs();
    await consumer.settle([{ started, result: { labels: LABELS }, batchSize: 1, inferenceMs: 1 }]);
    settledAtMs.set(started.job.jobId, sentAtMs);
  }
  return settledAtMs;
}
