/** What Prometheus reads on METRICS_PORT, and the header Server-Timing. */
import { request as sendRequest } from 'node:http';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createMetricsServer } from '../metrics/metrics-server.ts';
import { startGuardedServer } from './callers.ts';
import {
  atEnd,
  CLASSIFY,
  ENQUEUE,
  paint,
  type Server,
  type ServerOptions,
  startServer,
  startWorker,
  testRedis,
} from './server-harness.ts';

interface Classified {
  classifyImage: { __typename: string; id: string; status: string } | null;
}

const METRICS = { METRICS_PORT: '0' };

async function openMetrics({ components, config }: Pick<Server, 'components' | 'config'>) {
  const metricsServer = createMetricsServer(components.metrics!, config, pino({ level: 'silent' }));
  atEnd(() => metricsServer.close());
  const url = await metricsServer.listen();
  return {
    url,
    /** The value of each series by its name with labels. */
    async read(): Promise<Map<string, number>> {
      const response = await fetch(url);
      expect(response.status).toBe(200);
      const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      return new Map(
        lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
      );
    },
  };
}

async function start(options: ServerOptions = {}) {
  const server = await startServer({ ...options, env: { ...METRICS, ...options.env } });
  return { server, metrics: await openMetrics(server) };
}

const TINY = 'model="tiny",version="aaaaaaaaaaaa"';

test('predictions that have ended, and where their time went', async () => {
  const { server, metrics } = await start();
  await startWorker(server.prefix);
  for (const red of [1, 2, 3]) await server.upload(CLASSIFY, [await paint(red)]);
  await server.upload(CLASSIFY, [await paint(13)]);
  const figures = await metrics.read();
  const ended = (status: string) =>
    figures.get(`inferql_predictions_total{${TINY},status="${status}",cached="false",priority="NORMAL"}`);
  expect(ended('SUCCEEDED')).toBe(3);
  expect(ended('FAILED')).toBe(1);
  for (const name of ['queue_wait', 'inference', 'prediction']) {
    expect(figures.get(`inferql_${name}_seconds_count{${TINY}}`)).toBe(3);
  }
  // The harness' worker reports 1.5 ms per batch of one.
  expect(figures.get(`inferql_inference_seconds_sum{${TINY}}`)).toBeCloseTo(0.0045);
  expect(figures.get(`inferql_batch_size_bucket{le="1",${TINY}}`)).toBe(3);
  expect(figures.get('inferql_work_seconds_total{model="tiny",tenant="anonymous"}')).toBeCloseTo(0.0045);
  expect(figures.get('inferql_decode_seconds_count')).toBe(4);
  expect(figures.get('inferql_upload_bytes_count')).toBe(4);
  expect(figures.get('inferql_redis_step_seconds_count{step="admit"}')).toBe(4);
  expect(figures.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
});

test('a cached answer is counted as such, and took no time of an engine', async () => {
  const { server, metrics } = await start({ env: { INFERQL_CACHE_TTL_MS: '60000' } });
  await startWorker(server.prefix);
  for (let i = 0; i < 2; i++) await server.upload(CLASSIFY, [await paint(1)]);
  const figures = await metrics.read();
  expect(figures.get(`inferql_predictions_total{${TINY},status="SUCCEEDED",cached="true",priority="NORMAL"}`)).toBe(1);
  expect(figures.get(`inferql_prediction_seconds_count{${TINY}}`)).toBe(1);
});

test('two servers count each prediction once', async () => {
  const one = await start();
  const other = await start({ prefix: one.server.prefix });
  await startWorker(one.server.prefix);
  await one.server.upload(CLASSIFY, [await paint(1)]);
  await other.server.upload(CLASSIFY, [await paint(2)]);
  await other.server.upload(CLASSIFY, [await paint(3)]);
  const series = `inferql_predictions_total{${TINY},status="SUCCEEDED",cached="false",priority="NORMAL"}`;
  expect((await one.metrics.read()).get(series)).toBe(1);
  expect((await other.metrics.read()).get(series)).toBe(2);
});

test('the queue as it is in Redis, the same on every server', async () => {
  const one = await start({ env: { INFERQL_TARGET_WAIT_MS: '100' } });
  const other = await start({ prefix: one.server.prefix });
  const worker = await startWorker(one.server.prefix, {}, { idle: true });
  for (const red of [1, 2, 3, 4, 5]) await one.server.upload(ENQUEUE, [await paint(red)]);
  const figures = await one.metrics.read();
  expect(figures.get('inferql_queue_waiting{model="tiny"}')).toBe(5);
  expect(figures.get('inferql_queue_processing{model="tiny"}')).toBe(0);
  expect(figures.get('inferql_queue_bytes{model="tiny"}')).toBe(5 * 8 * 8 * 3);
  expect(figures.get('inferql_workers{model="tiny"}')).toBe(1);
  // The harness' worker reports 50 ms per image.
  expect(figures.get('inferql_capacity_images_per_second{model="tiny"}')).toBe(20);
  expect(figures.get('inferql_desired_workers{model="tiny"}')).toBe(3);
  const seen = await other.metrics.read();
  expect(seen.get('inferql_queue_waiting{model="tiny"}')).toBe(5);
  // By the default of five seconds.
  expect(seen.get('inferql_desired_workers{model="tiny"}')).toBe(1);
  worker.claiming.open();
});

test('images that were refused, by code; names that callers invent are one series', async () => {
  const { server, metrics } = await start();
  await startWorker(server.prefix);
  await server.upload(CLASSIFY, [Buffer.from('no image')]);
  for (const model of ['one', 'two', 'three']) await server.upload(CLASSIFY, [await paint(1)], { model });
  const figures = await metrics.read();
  expect(figures.get('inferql_admission_refused_total{model="tiny",code="UNSUPPORTED_FORMAT"}')).toBe(1);
  expect(figures.get('inferql_admission_refused_total{model="unknown",code="MODEL_NOT_FOUND"}')).toBe(3);
  expect([...figures.keys()].filter((series) => series.includes('"one"'))).toEqual([]);
});

test('work per tenant', async () => {
  const { server, makeKey } = await startGuardedServer({ env: METRICS });
  const metrics = await openMetrics(server);
  await startWorker(server.prefix);
  const bob = await makeKey({ tenant: 'bob' });
  await server.upload(CLASSIFY, [await paint(1)], {}, bob.headers);
  expect((await metrics.read()).get('inferql_work_seconds_total{model="tiny",tenant="bob"}')).toBeCloseTo(0.0015);
});

test('other paths, methods and names are refused', async () => {
  const { metrics } = await start();
  const { origin, port } = new URL(metrics.url);
  for (const [status, answer] of [
    [200, await fetch(metrics.url)],
    [404, await fetch(origin)],
    [405, await fetch(metrics.url, { method: 'POST', body: 'x' })],
  ] as const) {
    expect(answer.status).toBe(status);
    expect(answer.headers.get('x-frame-options')).toBe('DENY');
    expect(await answer.text()).not.toMatch(/node_modules|\.[jt]s:\d/);
  }
  const rebound = await new Promise<number | undefined>((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/metrics', headers: { host: 'attacker.example' } };
    sendRequest(options, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
  expect(rebound).toBe(421);
});

test('a model whose workers are gone keeps its figures, and asks for a worker while work waits', async () => {
  const { server, metrics } = await start();
  const worker = await startWorker(server.prefix, { queue: { graceMs: 0 } });
  worker.claiming.close();
  await server.upload(ENQUEUE, [await paint(1)]);
  await worker.consumer.deregister();
  const figures = await metrics.read();
  const read = (name: string) => figures.get(`inferql_${name}{model="tiny"}`);
  expect([read('workers'), read('queue_waiting'), read('desired_workers')]).toEqual([0, 1, 1]);
  const { data } = await server.query<{ queue: { waiting: number } | null }>('{ queue(model: "tiny") { waiting } }');
  expect(data.queue).toEqual({ waiting: 1 });
});

test('no figures while Redis does not answer, rather than old ones', async () => {
  const { metrics } = await start();
  expect((await fetch(metrics.url)).status).toBe(200);
  await testRedis().kill9();
  atEnd(() => testRedis().restart());
  expect((await fetch(metrics.url)).status).toBe(503);
});

test('without METRICS_PORT there are no metrics', async () => {
  const server = await startServer();
  expect(server.components.metrics).toBeUndefined();
});

test('Server-Timing says where the time of an image went', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix);
  const waited = await server.upload<Classified>(CLASSIFY, [await paint(1)]);
  expect(waited.headers.get('server-timing')).toMatch(
    /^upload;dur=[\d.]+, decode;dur=[\d.]+, queue;dur=[\d.]+, infer;dur=1.5$/,
  );
  worker.claiming.close();
  const queued = await server.upload<Classified>(ENQUEUE, [await paint(2)]);
  expect(queued.headers.get('server-timing')).toMatch(/^upload;dur=[\d.]+, decode;dur=[\d.]+$/);
  const other = await server.query('{ models { name } }');
  expect(other.headers.get('server-timing')).toBeNull();
});
