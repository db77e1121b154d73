/** Shared by the server's tests: one real Redis per file, and a whole server with a small worker per test. Importing it starts Redis. */

import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { QueueState, ServedModel } from '@inferql/queue/contract';
import { Consumer, type Outcome, type StartedJob } from '@inferql/queue/jobs/consumer';
import { Registry } from '@inferql/queue/models/registry';
import { type ConnectionRole, connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { makeServedModel, type ServedModelChanges } from '@inferql/testing/data/served-model';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { until } from '@inferql/testing/until';
import { pino } from 'pino';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { readConfig } from '../config.ts';
import { HttpServer } from '../http/http-server.ts';
import { loadMetrics } from '../metrics/metrics-server.ts';
import { ServerComponents } from '../server-components.ts';
import { type Answer, jsonRequest, readAnswer, uploadRequest } from './requests.ts';

/** After a failed command, for a connection that opens again. */
const RETRY_MS = 5;

let redisServer: TestRedis;
let prefixCount = 0;
const closers: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  redisServer = await startTestRedis({ persistent: true });
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => redisServer.stop());

export const testRedis = () => redisServer;

/** Runs when the test has ended, in reverse order. */
export function atEnd(close: () => Promise<void> | void): void {
  closers.push(close);
}

export function connect(role: ConnectionRole, url = redisServer.url): RedisConnection {
  const connection = connectRedis(url, role);
  connection.on('error', () => undefined);
  closers.push(() => connection.disconnect());
  return connection;
}

export const MODEL = makeServedModel('tiny', {
  description: 'Answers by color.',
  input: { width: 8, height: 8, channels: 3, shortSide: 8, kernel: 'linear' },
  classCount: 256,
  heatmap: { available: true },
  queue: { graceMs: 60_000 },
});

interface WorkerOptions {
  /** It claims nothing until its gate is opened. */
  idle?: boolean;
  /** @default the test's own Redis, as its administrator */
  redisUrl?: string;
}

/**
 * A worker whose model answers with the image's first red value as the best class. It can be held before it claims and before
 * it settles; an idle one claims nothing until its gate is opened.
 */
export async function startWorker(prefix: string, changes: ServedModelChanges = {}, options: WorkerOptions = {}) {
  const { idle = false, redisUrl } = options;
  const model: ServedModel = { ...MODEL, ...changes, queue: { ...MODEL.queue, ...changes.queue } };
  const blockingRedis = connect('blocking', redisUrl);
  const consumer = new Consumer({
    redis: connect('work', redisUrl),
    blockingRedis,
    prefix,
    model,
    labels: Array.from({ length: 256 }, (_, i) => `red ${i}`),
    worker: `worker-${prefix}-${model.name}`,
    // Long enough for a slow test: unlike a real worker, it sends no heartbeats.
    lifetimeMs: 600_000,
  });
  const record = {
    worker: `worker-${prefix}-${model.name}`,
    version: model.version,
    engine: 'scripted',
    imageMs: 50,
    startedAtMs: Date.now(),
  };
  const register = () => consumer.register(record);
  await register();
  const claiming = createGate();
  const settling = createGate();
  if (idle) claiming.close();
  let stopped = false;
  let batches = 0;
  const answer = (started: StartedJob): Outcome => {
    const { image, options } = started.job;
    const best = image[0]!;
    if (best === 13) return { started, errorCode: 'UNREADABLE_JOB' };
    const labels = Array.from({ length: options.labels ?? 20 }, (_, i) => ({
      index: (best + i) % 256,
      name: `red ${(best + i) % 256}`,
      score: 0.5 ** (i + 1),
    }));
    const maps = [{ index: best, values: [0, 0.25, 0.5, 1] }];
    const result = options.heatmap ? { labels, heatmaps: { width: 2, height: 2, maps } } : { labels };
    return { started, result, batchSize: 1, inferenceMs: 1.5 };
  };
  async function runOnce(): Promise<void> {
    await claiming.passed();
    if (stopped) return;
    // Jobs that a lost connection left come first.
    const lost = await consumer.reclaim(8);
    const jobs = lost.length > 0 ? lost : await consumer.waitForJobs();
    // Jobs from a read that was in progress when the gate closed keep waiting, too.
    await claiming.passed();
    if (stopped) return;
    const started = await consumer.start(jobs);
    if (started.length === 0) return;
    batches++;
    await settling.passed();
    await consumer.settle(started.map(answer));
  }
  const loop = (async () => {
    // A connection that was lost during a command reconnects automatically.
    while (!stopped) await runOnce().catch(() => wait(RETRY_MS));
  })();
  closers.push(async () => {
    stopped = true;
    claiming.open();
    settling.open();
    blockingRedis.disconnect();
    await loop;
  });
  return { model, record, claiming, settling, consumer, register, countRuns: () => batches };
}

function createGate() {
  const waiting: (() => void)[] = [];
  let closed = false;
  return {
    close() {
      closed = true;
    },
    open() {
      closed = false;
      for (const pass of waiting.splice(0)) pass();
    },
    async passed() {
      if (closed) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

export interface ServerOptions {
  /** Settings in addition to the defaults of tests. */
  env?: Record<string, string>;
  /** A prefix that another server or worker has, too. */
  prefix?: string;
  /** @default the test's own Redis, as its administrator */
  redisUrl?: string;
  /** Folder for uploads. @default one per server */
  uploadDir?: string;
  /** Called with each line of the log, from level debug on. @default nothing is logged */
  onLog?(line: string): void;
}

/** The defaults of tests: no cache and no sharing, so that every image is computed, and short waits. */
function testSettings(prefix: string, stateDir: string): Record<string, string> {
  return {
    PORT: '0',
    REDIS_URL: redisServer.url,
    INFERQL_PREFIX: prefix,
    INFERQL_STATE_DIR: stateDir,
    INFERQL_WEB_DIR: join(stateDir, 'web'),
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    INFERQL_CACHE_TTL_MS: '0',
    INFERQL_SHARE: 'off',
    INFERQL_POSITION_INTERVAL_MS: '20',
    INFERQL_DRAIN_MS: '300',
  };
}

/** A server without a port, ready for requests. Its uploads go to a separate folder. */
export async function startServer({
  env = {},
  prefix = `test${++prefixCount}`,
  uploadDir,
  redisUrl,
  onLog,
}: ServerOptions = {}) {
  const stateDir = mkdtempSync(join(tmpdir(), 'inferql-server-'));
  const config = readConfig({ ...testSettings(prefix, stateDir), ...env });
  const log = onLog ? pino({ level: 'debug' }, { write: onLog }) : pino({ level: config.logLevel });
  // Before the connections: what waits for them must not miss their events.
  const createMetrics = await loadMetrics(config);
  const subscriber = connect('subscriber', redisUrl);
  const redis = connect('request', redisUrl);
  const components = new ServerComponents({
    config,
    uploadDir: uploadDir ?? stateDir,
    redis,
    subscriber,
    log,
    createMetrics,
  });
  const listener = new HttpServer({ config, components, log });
  closers.push(async () => {
    await listener.drain();
    components.close();
    rmSync(stateDir, { recursive: true, force: true });
  });
  await until(() => components.isReady(), Boolean);
  const fetch = (path: string, init?: RequestInit) =>
    listener.app.fetch(new Request(`http://inferql.test${path}`, init)) as Promise<Response>;
  return {
    prefix,
    config,
    components,
    listener,
    redis,
    subscriber,
    stateDir,
    fetch,
    /** Resolves once no file of an upload is left. */
    uploadDirEmptied: () => untilUploadFiles(stateDir, (count) => count === 0),
    /** Resolves once this many uploaded files have begun to arrive. */
    uploadDirFilled: (wanted: number) => untilUploadFiles(stateDir, (count) => count === wanted),
    /** Resolves once the queue of `tiny` is so. Reads Redis each time: a cached state would keep the event loop from running. */
    async queueBecame(isReached: (queue: QueueState) => boolean): Promise<QueueState> {
      const registry = new Registry(redis, { prefix });
      const isThere = (queue: QueueState | null) => queue !== null && isReached(queue);
      return (await until(() => registry.queueState('tiny'), isThere))!;
    },
    /** Sends an operation as JSON; the answer's body. */
    async query<T = Record<string, never>>(
      query: string,
      variables: object = {},
      headers: Record<string, string> = {},
    ): Promise<Answer<T>> {
      return readAnswer<T>(await fetch('/graphql', jsonRequest(query, variables, headers)));
    },
    /** Sends files as a multipart mutation. */
    async upload<T = Record<string, never>>(
      query: string,
      files: (Buffer | string)[],
      variables: object = {},
      headers: Record<string, string> = {},
    ): Promise<Answer<T>> {
      return readAnswer<T>(await fetch('/graphql', uploadRequest(query, files, variables, headers)));
    },
  };
}

export type Server = Awaited<ReturnType<typeof startServer>>;

async function untilUploadFiles(dir: string, isReached: (count: number) => boolean): Promise<void> {
  const changes = watch(dir);
  try {
    const count = () => readdirSync(dir).filter((name) => name.startsWith('capacitor-')).length;
    while (!isReached(count())) await once(changes, 'change');
  } finally {
    changes.close();
  }
}

/** A square of one color; the worker answers with its red value. */
export function paint(red: number, size = 16): Promise<Buffer> {
  return sharp({ create: { width: size, height: size, channels: 3, background: { r: red, g: 0, b: 0 } } })
    .png()
    .toBuffer();
}

export const CLASSIFY = `mutation ($image: Upload!, $model: String, $topK: Int = 5, $timeoutMs: Int, $key: String) {
  classifyImage(image: $image, model: $model, topK: $topK, timeoutMs: $timeoutMs, idempotencyKey: $key) {
    __typename
    ... on Prediction { id status result { labels { index name score } } error { code message } attempts batchSize finishedAt timings { queueMs inferenceMs totalMs } }
    ... on Error { code message }
    ... on InvalidInputError { argument }
  }
}`;

export const ENQUEUE = `mutation ($image: Upload!, $timeoutMs: Int, $key: String, $heatmap: Boolean) {
  classifyImage(image: $image, timeoutMs: $timeoutMs, idempotencyKey: $key, heatmap: $heatmap) {
    __typename
    ... on Prediction { id status queuePosition estimatedStartMs cached }
    ... on Error { code message }
  }
}`;
