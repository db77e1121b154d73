import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { listScripts } from '@inferql/queue/lua/lua-steps';
import { type RedisRecorder, startRedisRecorder, type Traffic } from '@inferql/testing/redis/redis-recorder';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { openSocket, send } from '@inferql/testing/system/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';

const IMAGE_BYTES = 224 * 224 * 3;
const PREDICTIONS = 50;
const STEPS = ['admit', 'start', 'settle'];
const CLASSIFY = `mutation Count($image: Upload!) {
  classifyImage(image: $image) { __typename ... on Prediction { id status result { labels(topK: 5) { name score } } } }
}`;
/** ResNet50's input and number of classes, with constant answers: Redis sees the same as with the real model. */
const model = {
  name: 'counted',
  classCount: 1000,
  input: { width: 224, height: 224, channels: 3, shortSide: 256, kernel: 'linear' },
};
const image = readFileSync(join(import.meta.dirname, '../models/samples/rocket.jpg'));

const scripts = listScripts();
const nameBySha = new Map([...scripts].map(([name, { sha }]) => [sha, name]));

/** What servers and workers send regularly, whatever is predicted: the maximum rate, and by how many processes. */
const BACKGROUND: Record<string, { periodMs: number; count?: number }> = {
  // Worker: heartbeat.
  register: { periodMs: 2_000 },
  sismember: { periodMs: 2_000 },
  // Worker: whether Redis still has the class names.
  hkeys: { periodMs: 2_000 },
  // Worker: stalled jobs of each lane, and those of retired versions.
  xautoclaim: { periodMs: 2_000, count: 3 },
  feed: { periodMs: 2_000 },
  hgetall: { periodMs: 2_000 },
  // Worker: leases of a job that takes long.
  'extend-leases': { periodMs: 3_333 },
  // Server and worker: deadlines.
  expire: { periodMs: 1_000, count: 2 },
  // Server: models whose deadlines are due, and their refunds.
  smembers: { periodMs: 1_000, count: 2 },
  zrange: { periodMs: 1_000 },
  // Server: audit of the event channel.
  'hget sequence': { periodMs: 2_000 },
  // Server: open predictions again, if the audit came before an event that was on its way: then, and at that event.
  'read-predictions': { periodMs: 2_000, count: 3 },
  // Server: models, read again when they are asked for or have changed.
  'read-model': { periodMs: 2_000 },
  get: { periodMs: 2_000 },
  // Worker: it is back after a pause in which it counted as gone.
  publish: { periodMs: 2_000 },
};

let redis: TestRedis | undefined;
let recorder: RedisRecorder | undefined;
let system: TestSystem | undefined;
let direct: Redis | undefined;

beforeAll(async () => {
  redis = await startTestRedis();
  recorder = await startRedisRecorder(redis.port, ([command = '', first = '', second = '']) => {
    const name = command.toLowerCase();
    if (name === 'evalsha') return nameBySha.get(first) ?? `evalsha ${first}`;
    return name === 'hget' ? `hget ${second}` : name;
  });
  direct = new Redis(redis.url);
  // A script's text is sent when Redis does not know it, whenever a sweep first needs it. No step may need it later.
  for (const { source } of scripts.values()) await direct.script('LOAD', source);
  const { url } = recorder;
  // Each of the equal images must be computed.
  const env = { INFERQL_SHARE: '0', INFERQL_CACHE_TTL_MS: '0' };
  system = await startSystem({ models: [model], redis, redisUrl: () => url, env });
});
afterAll(async () => {
  direct?.disconnect();
  await system?.end();
  await recorder?.stop();
  await redis?.stop();
});

/** Calls by the command's name, those from inside scripts included. */
async function readCalls(): Promise<Record<string, number>> {
  const text = await direct!.info('commandstats');
  return Object.fromEntries(
    [...text.matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm)].map(([, name, count]) => [name!, Number(count)]),
  );
}

async function classify(): Promise<void> {
  const response = await send<{ classifyImage: { status: string } }>(system!.url, {
    query: CLASSIFY,
    variables: { image: null },
    files: { image: image },
  });
  expect(response.data?.classifyImage.status).toBe('SUCCEEDED');
}

/** What predictions cause: all traffic but the background's, which must not exceed its rate. */
function withoutBackground(traffic: Map<string, Traffic>, elapsedMs: number): Map<string, Traffic> {
  const excess = [...traffic].filter(([name, { count }]) => {
    const { periodMs, count: each = 1 } = BACKGROUND[name] ?? {};
    // Timers that fire late may do so at both ends of the span.
    return periodMs !== undefined && count > each * (Math.floor(elapsedMs / periodMs) + 2);
  });
  expect(excess, `in ${elapsedMs} ms`).toEqual([]);
  return new Map([...traffic].filter(([name]) => !(name in BACKGROUND)));
}

test('a prediction takes three steps, two events, and its pixels once into Redis and once out of it', async () => {
  await classify();
  const before = await readCalls();
  recorder!.take();
  const startedAtMs = performance.now();
  for (let i = 0; i < PREDICTIONS; i++) await classify();
  const elapsedMs = performance.now() - startedAtMs;
  const traffic = withoutBackground(recorder!.take(), elapsedMs);
  const after = await readCalls();
  const each = (name: string) => ((after[name] ?? 0) - (before[name] ?? 0)) / PREDICTIONS;
  /** What may be added to a count, per second, however long the machine takes. */
  const background = (perSecond: number) => ((elapsedMs / 1000) * perSecond) / PREDICTIONS;
  const total = (names: Iterable<string>, field: keyof Traffic) =>
    [...names].reduce((sum, name) => sum + traffic.get(name)![field], 0) / PREDICTIONS;

  // No script's text among them: Redis knew all scripts.
  expect([...traffic.keys()].sort()).toEqual(['admit', 'exists', 'message', 'settle', 'start', 'xreadgroup']);
  for (const step of STEPS) expect([step, traffic.get(step)!.count]).toEqual([step, PREDICTIONS]);
  expect(each('xadd')).toBe(1);
  expect(each('xdel')).toBe(1);
  // PROCESSING and SUCCEEDED: the answer itself reports QUEUED.
  for (const count of [each('publish'), total(['message'], 'count')]) {
    expect(count).toBeGreaterThanOrEqual(2);
    expect(count).toBeLessThanOrEqual(2 + background(1));
  }
  // The blocked read, and reads of the three lanes. A blocked read ends after a second.
  expect(total(['xreadgroup'], 'count')).toBeLessThanOrEqual(7 + background(8));
  expect(total(['exists'], 'count')).toBeLessThanOrEqual(2 + background(2));

  expect(Math.floor(total(STEPS, 'sentBytes') / IMAGE_BYTES)).toBe(1);
  expect(Math.floor(total(traffic.keys(), 'receivedBytes') / IMAGE_BYTES)).toBe(1);
  // Bytes besides the pixels. Each second without a job adds a blocked read and a claim.
  expect(total(STEPS, 'sentBytes') - IMAGE_BYTES).toBeLessThan(4_400);
  expect(total(traffic.keys(), 'sentBytes') - IMAGE_BYTES).toBeLessThan(6_000 + background(1_200));
  expect(total(traffic.keys(), 'receivedBytes') - IMAGE_BYTES).toBeLessThan(6_000);
});

test('a subscriber gets no more states than a prediction has', async () => {
  const socket = openSocket(system!.url);
  try {
    const { data } = await send<{ classifyImage: { id: string } }>(system!.url, {
      query: 'mutation Begin($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id } } }',
      variables: { image: null },
      files: { image: image },
    });
    const statuses: string[] = [];
    const states = socket.subscribe<{ prediction: { status: string } }>({
      query: 'subscription Follow($id: ID!) { prediction(id: $id) { id status } }',
      variables: { id: data!.classifyImage.id },
    });
    for await (const state of states) statuses.push(state.data!.prediction.status);
    expect(statuses.at(-1)).toBe('SUCCEEDED');
    expect(statuses.length).toBeLessThanOrEqual(3);
    expect(new Set(statuses).size).toBe(statuses.length);
  } finally {
    await socket.close();
  }
});
