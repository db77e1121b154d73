/** What the queue's tests share: one real Redis per file, one queue per test. Importing it starts Redis. */

import { makeServedModel } from '@inferql/testing/data/served-model';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import {
  ANONYMOUS_CALLER,
  type JobOptions,
  newPredictionId,
  type PredictionState,
  type ServedModel,
} from '../contract.ts';
import { Consumer, type Outcome, type StartedJob } from '../jobs/consumer.ts';
import type { ClaimedJob } from '../jobs/stream-entry.ts';
import { Registry } from '../models/registry.ts';
import { type AdmitRequest, Producer } from '../predictions/producer.ts';
import { type ConnectionRole, connectRedis, type RedisConnection } from '../redis/connection.ts';
import { modelKeys } from '../redis/keys.ts';

/** These workers send no heartbeats: long enough for a slow test. */
const LIFETIME_MS = 600_000;

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

/** Opens a connection that ends with the test. */
export function connect(role: ConnectionRole, url = server.url): RedisConnection {
  const connection = connectRedis(url, role);
  connection.on('error', () => undefined);
  connections.push(connection);
  return connection;
}

/** A connection that can lose the replies of steps: the client sends them again, and gets the second reply. */
function connectLossy(url: string) {
  const connection = connect('work', url);
  const network = { losesReplies: false };
  const send = (command: 'evalsha' | 'eval') =>
    async function sendOnceOrTwice(...args: [string, number, ...(string | Buffer)[]]) {
      if (network.losesReplies) await connection[command](...args);
      return await connection[command](...args);
    };
  const lossy = { evalsha: send('evalsha'), eval: send('eval') };
  const redis = new Proxy(connection, {
    get(target, name) {
      if (name === 'evalsha' || name === 'eval') return lossy[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { redis, network };
}

/** A separate queue: a prefix that no other test has. */
export async function setUp(queue: Partial<ServedModel['queue']> = {}, { url = server.url, name = 'tiny' } = {}) {
  const prefix = `test${++prefixCount}`;
  const model = makeServedModel(name, { queue: { fairShares: true, ...queue } });
  const { redis, network } = connectLossy(url);
  const producer = new Producer(redis, { prefix });
  const registry = new Registry(redis, { prefix });
  let workers = 0;
  async function addWorker(): Promise<Consumer> {
    const worker = `worker${++workers}`;
    const blockingRedis = connect('blocking', url);
    const consumer = new Consumer({ redis, blockingRedis, prefix, model, worker, lifetimeMs: LIFETIME_MS });
    // So that the commands of its connection are not among those that a test counts.
    if (blockingRedis.status !== 'ready') await new Promise<void>((resolve) => blockingRedis.once('ready', resolve));
    await consumer.register({ worker, version: model.version, engine: 'scripted', startedAtMs: 0 });
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
      caller: ANONYMOUS_CALLER,
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
    network,
    producer,
    registry,
    consumer,
    addWorker,
    request,
    admit,
    status,
    keys: modelKeys(prefix, model.name),
  };
}

export function success(started: StartedJob): Outcome {
  return { started, result: { labels: [{ index: 1, name: 'one', score: 1 }] }, batchSize: 1, inferenceMs: 5 };
}

export function failure(started: StartedJob): Outcome {
  return { started, errorCode: 'MODEL_FAILED' };
}

/** Keys of a model that stay: one of each, or one per version and lane. */
const LASTING = /:(counters|specs|alive|workers|dead|stream:[0-9a-f]{12}:[A-Z]+)$/;

/** What Redis holds once nothing is open, except what stays and what expires: keys, entries of streams, counters that are not 0. */
export async function leftovers(redis: RedisConnection, prefix: string): Promise<string[]> {
  const keys = await redis.keys(`${prefix}:{tiny}:*`);
  const ttls = await Promise.all(keys.map((key) => redis.pttl(key)));
  const streams = await Promise.all(keys.filter((key) => key.includes(':stream:')).map((key) => redis.xlen(key)));
  const counters = await redis.hmget(`${prefix}:{tiny}:counters`, 'bytes', 'processing');
  return [
    ...keys.filter((key, i) => /:(job|followers|shared):/.test(key) || (ttls[i] === -1 && !LASTING.test(key))),
    ...streams.filter((length) => length > 0).map((length) => `stream of ${length}`),
    ...counters.filter((count) => Number(count ?? 0) !== 0).map((count) => `counter at ${count}`),
  ];
}

/** What a worker reclaims once the job has stalled. */
export async function takeOver(consumer: Consumer): Promise<ClaimedJob[]> {
  const taken: ClaimedJob[] = [];
  await expect
    .poll(async () => {
      taken.push(...(await consumer.reclaim(8)));
      return taken.length;
    })
    .toBe(1);
  return taken;
}
