import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSocket, send } from '@inferql/testing/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';

const IMAGE_BYTES = 224 * 224 * 3;
const PREDICTIONS = 50;
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

let system: TestSystem | undefined;
let redis: Redis | undefined;

beforeAll(async () => {
  // Each of the equal images must be computed.
  system = await startSystem({ models: [model], env: { INFERQL_SHARE: '0', INFERQL_CACHE_TTL_MS: '0' } });
  redis = new Redis(system.redis.url);
});
afterAll(async () => {
  redis?.disconnect();
  await system?.end();
});

interface Counts {
  /** Calls by the command's name, those from inside scripts included. */
  calls: Record<string, number>;
  inputBytes: number;
  outputBytes: number;
}

async function readCounts(): Promise<Counts> {
  const text = await redis!.info('commandstats', 'stats');
  const calls = Object.fromEntries(
    [...text.matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm)].map(([, name, count]) => [name!, Number(count)]),
  );
  const figure = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)![1]);
  return { calls, inputBytes: figure('total_net_input_bytes'), outputBytes: figure('total_net_output_bytes') };
}

async function classify(): Promise<void> {
  const response = await send<{ classifyImage: { status: string } }>(system!.url, {
    query: CLASSIFY,
    variables: { image: null },
    files: { image: image },
  });
  expect(response.data?.classifyImage.status).toBe('SUCCEEDED');
}

test('a prediction takes three steps, two events, and its pixels once into Redis and once out of it', async () => {
  await classify();
  const before = await readCounts();
  const startedAtMs = Date.now();
  for (let i = 0; i < PREDICTIONS; i++) await classify();
  const elapsedS = (Date.now() - startedAtMs) / 1000;
  const after = await readCounts();
  const each = (name: string) => ((after.calls[name] ?? 0) - (before.calls[name] ?? 0)) / PREDICTIONS;
  /** What heartbeats, sweeps and audits may add to a count, per second, however long the machine takes. */
  const background = (perSecond: number) => (elapsedS * perSecond) / PREDICTIONS;

  // admit, start and settle.
  expect(each('evalsha')).toBeGreaterThanOrEqual(3);
  expect(each('evalsha')).toBeLessThanOrEqual(3 + background(5));
  // A script's text is sent when Redis first sees it, possibly a sweep's text now.
  expect(each('eval') * PREDICTIONS).toBeLessThanOrEqual(5);
  expect(each('xadd')).toBe(1);
  expect(each('xdel')).toBe(1);
  // PROCESSING and SUCCEEDED: the answer itself reports QUEUED.
  expect(each('publish')).toBeGreaterThanOrEqual(2);
  expect(each('publish')).toBeLessThanOrEqual(2 + background(1));
  // The blocked read, and reads of the three lanes.
  expect(each('xreadgroup')).toBeLessThanOrEqual(7 + background(8));

  const inputBytes = (after.inputBytes - before.inputBytes) / PREDICTIONS;
  const outputBytes = (after.outputBytes - before.outputBytes) / PREDICTIONS;
  expect(Math.floor(inputBytes / IMAGE_BYTES)).toBe(1);
  expect(Math.floor(outputBytes / IMAGE_BYTES)).toBe(1);
  expect(inputBytes - IMAGE_BYTES).toBeLessThan(6_000 + background(4_000));
  expect(outputBytes - IMAGE_BYTES).toBeLessThan(6_000 + background(4_000));
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
