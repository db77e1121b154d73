import { expect, test } from 'vitest';
import { CLASSIFY, ENQUEUE, paint, startServer, startWorker } from './server-harness.ts';

const MODEL_FIELDS = `name version description engine engineReason precision classCount isDefault
  input { width height channels resize shortSide stretchTo cropFraction cover padColor ignoresColorProfile kernel } heatmap { available reason } batching { maxBatchSize maxQueueDelayMs }
  limits { maxQueueSize maxQueuedBytes defaultTimeoutMs resultTtlMs visibilityMs maxAttempts graceMs }
  queue { model waiting processing maxQueueSize queuedBytes workers { id version engine imageMs startedAt } ended { succeeded failed canceled expired } deadLetters capacityPerSecond }`;

interface Models {
  models: { name: string; isDefault: boolean }[];
}

test('models describes each one, by name; the first is the default one', async () => {
  const server = await startServer();
  await startWorker(server.prefix, { name: 'zebra' });
  await startWorker(server.prefix, { name: 'ant', precision: 'int8' });
  const { data, errors } = await server.query<Models>(`{ models { ${MODEL_FIELDS} } }`);
  expect(errors).toBeUndefined();
  expect(data.models.map(({ name, isDefault }) => [name, isDefault])).toEqual([
    ['ant', true],
    ['zebra', false],
  ]);
  expect(data.models[0]).toMatchObject({
    precision: 'INT8',
    input: {
      width: 8,
      height: 8,
      channels: 3,
      shortSide: 8,
      stretchTo: null,
      cropFraction: null,
      cover: false,
      padColor: null,
      resize: 'sharp-linear',
    },
    limits: { maxQueueSize: 100, maxAttempts: 3 },
    queue: { waiting: 0, processing: 0, workers: [{ imageMs: 50 }], capacityPerSecond: 20 },
  });
});

test('INFERQL_DEFAULT_MODEL names the model of requests that name none', async () => {
  const server = await startServer({ env: { INFERQL_DEFAULT_MODEL: 'zebra' } });
  await startWorker(server.prefix, { name: 'ant' });
  await startWorker(server.prefix, { name: 'zebra' });
  const { data } = await server.query<Models>('{ models { name isDefault } }');
  expect(data.models.filter(({ isDefault }) => isDefault).map(({ name }) => name)).toEqual(['zebra']);
  const queued = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(1)]);
  expect(queued.data.classifyImage.id).toMatch(/^zebra\./);
});

const NAMED = 'query ($name: String!) { model(name: $name) { name } }';

test.each([
  ['an invalid variable', NAMED, { name: 5 }, 'BAD_REQUEST'],
  ['a missing variable', NAMED, {}, 'BAD_REQUEST'],
  ['an upload that is text', ENQUEUE, { image: 'cat.jpg' }, 'BAD_REQUEST'],
  ['an unknown field', '{ nothing }', {}, 'GRAPHQL_VALIDATION_FAILED'],
  ['a syntax error', '{ models', {}, 'GRAPHQL_PARSE_FAILED'],
  ['two operations', 'query A { __typename } query B { __typename }', {}, 'OPERATION_RESOLUTION_FAILURE'],
])('every error has a code: %s', async (_what, query, variables, code) => {
  const server = await startServer();
  const { errors } = await server.query(query, variables);
  expect(errors?.map(({ extensions }) => extensions?.code)).toEqual([code]);
});

test('what does not exist is null', async () => {
  const server = await startServer();
  await startWorker(server.prefix);
  const { data, errors } = await server.query(
    '{ model(name: "nothing") { name } queue(model: "nothing") { waiting } prediction(id: "nothing") { id } other: prediction(id: "tiny.0123456789012345678901") { id } }',
  );
  expect(errors).toBeUndefined();
  expect(data).toEqual({ model: null, queue: null, prediction: null, other: null });
  const canceled = await server.query('mutation { cancelPrediction(id: "tiny.0123456789012345678901") { id } }');
  expect(canceled.data).toEqual({ cancelPrediction: null });
});

test('a prediction can be read completely, on another server too', async () => {
  const server = await startServer();
  const other = await startServer({ prefix: server.prefix });
  await startWorker(server.prefix);
  const sent = await server.upload<{ classifyImage: { id: string } }>(CLASSIFY, [await paint(70)]);
  const { data } = await other.query<{ prediction: Record<string, unknown> }>(
    `query ($id: ID!) { prediction(id: $id) { id status queuePosition estimatedStartMs model modelVersion priority attempts cached batchSize
      createdAt startedAt finishedAt deadlineAt retryOf result { labels(topK: 1) { index } } } }`,
    { id: sent.data.classifyImage.id },
  );
  const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(data.prediction).toEqual({
    id: sent.data.classifyImage.id,
    status: 'SUCCEEDED',
    queuePosition: null,
    estimatedStartMs: null,
    model: 'tiny',
    modelVersion: 'aaaaaaaaaaaa',
    priority: 'NORMAL',
    attempts: 1,
    cached: false,
    batchSize: 1,
    createdAt: instant,
    startedAt: instant,
    finishedAt: instant,
    deadlineAt: instant,
    retryOf: null,
    result: { labels: [{ index: 70 }] },
  });
});

test('identical work is computed once and shared, and answered from the cache; both are visible', async () => {
  const server = await startServer({ env: { INFERQL_SHARE: 'on', INFERQL_CACHE_TTL_MS: '60000' } });
  const worker = await startWorker(server.prefix);
  const query =
    'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id cached result { labels(topK: 1) { index } } } } }';
  interface Shared {
    classifyImage: { id: string; cached: boolean; result: object };
  }
  const image = await paint(80);
  worker.settling.close();
  const waiting = [server.upload<Shared>(query, [image]), server.upload<Shared>(query, [image])];
  // Both are admitted: the second shares the job of the first.
  await server.queueBecame(({ processing, waiting }) => processing + waiting > 0);
  const third = server.upload<Shared>(query, [image]);
  worker.settling.open();
  const answers = await Promise.all([...waiting, third]);
  expect(new Set(answers.map(({ data }) => data.classifyImage.id)).size).toBe(3);
  for (const { data } of answers) expect(data.classifyImage.result).toEqual({ labels: [{ index: 80 }] });
  expect(answers.filter(({ data }) => !data.classifyImage.cached)).toHaveLength(1);
  const later = await server.upload<Shared>(query, [image]);
  expect(later.data.classifyImage).toMatchObject({ cached: true, result: { labels: [{ index: 80 }] } });
  expect(worker.countRuns()).toBe(1);
});

test('a model without workers is UNAVAILABLE after its grace period', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, { queue: { graceMs: 0 } });
  await worker.consumer.deregister();
  const { status, errors } = await server.upload(ENQUEUE, [await paint(1)]);
  expect(status).toBe(503);
  expect(errors![0]!.extensions).toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: expect.any(Number) });
});

test('a model without workers queues during its grace period', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, { queue: { graceMs: 60_000 } });
  worker.claiming.close();
  worker.settling.close();
  await worker.consumer.deregister();
  const { data } = await server.upload<{ classifyImage: { status: string } }>(ENQUEUE, [await paint(1)]);
  expect(data.classifyImage.status).toBe('QUEUED');
});

test('limits returns what the server accepts', async () => {
  const server = await startServer({ env: { INFERQL_MAX_UPLOAD_BYTES: '5000000', INFERQL_MAX_IMAGES: '7' } });
  const { data, errors } = await server.query(
    '{ limits { maxUploadBytes maxPixels maxImages maxBodyBytes maxQueryBytes maxWaitMs maxSubscriptionsPerConnection } }',
  );
  expect(errors).toBeUndefined();
  expect(data).toEqual({
    limits: {
      maxUploadBytes: 5_000_000,
      maxPixels: 64_000_000,
      maxImages: 7,
      maxBodyBytes: 134_217_728,
      maxQueryBytes: 262_144,
      maxWaitMs: 60_000,
      maxSubscriptionsPerConnection: 1_000,
    },
  });
});
