import { describe, expect, test } from 'vitest';
import { jsonRequest, uploadRequest } from './requests.ts';
import { CLASSIFY, ENQUEUE, paint, startServer, startWorker } from './server-harness.ts';
import { WATCH } from './subscriptions.ts';

interface Classified {
  classifyImage: {
    __typename: string;
    id: string;
    status: string;
    result: { labels: { index: number; name: string; score: number }[] } | null;
    error: { code: string } | null;
    code?: string;
    argument?: string;
    queuePosition: number | null;
    estimatedStartMs: number | null;
    batchSize: number | null;
    attempts: number;
    timings: { queueMs: number; inferenceMs: number; totalMs: number } | null;
  };
}

describe('a mutation that selects the result', () => {
  test('answers once the prediction has ended, with the labels by descending score', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { status, data, errors } = await server.upload<Classified>(CLASSIFY, [await paint(200)]);
    expect(errors).toBeUndefined();
    expect(status).toBe(200);
    const { classifyImage } = data;
    expect(classifyImage).toMatchObject({ status: 'SUCCEEDED', error: null, attempts: 1, batchSize: 1 });
    expect(classifyImage.id).toMatch(/^tiny\.[\w-]{22}$/);
    expect(classifyImage.result!.labels.map(({ index }) => index)).toEqual([200, 201, 202, 203, 204]);
    const scores = classifyImage.result!.labels.map(({ score }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(classifyImage.timings!.inferenceMs).toBe(1.5);
    expect(classifyImage.timings!.totalMs).toBeGreaterThanOrEqual(classifyImage.timings!.queueMs);
    await server.uploadDirEmptied();
  });

  test('and is repeated under its key, answers with the current status, also if a subscription follows the prediction', async () => {
    const server = await startServer({ env: { INFERQL_MAX_WAIT_MS: '100' } });
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    const first = await server.upload<Classified>(ENQUEUE, [await paint(9)], { key: 'order 12' });
    const { id } = first.data.classifyImage;
    const watching = await server.fetch('/graphql', {
      ...jsonRequest(WATCH, { id }),
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    });
    const reader = watching.body!.getReader();
    await reader.read();
    const again = await server.upload<Classified>(CLASSIFY, [await paint(9)], { key: 'order 12' });
    expect(again.data?.classifyImage).toMatchObject({ id, status: 'QUEUED', result: null });
    await reader.cancel();
  });

  test('gives topK labels, even if labels has an argument', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data } = await server.upload<Classified>(CLASSIFY, [await paint(7)], { topK: 2 });
    expect(data.classifyImage.result!.labels).toHaveLength(2);
    const own = await server.upload<Classified>(
      'mutation ($image: Upload!) { classifyImage(image: $image, topK: 2) { ... on Prediction { result { labels(topK: 20) { index name score } } } } }',
      [await paint(7)],
    );
    expect(own.data.classifyImage.result!.labels).toHaveLength(20);
  });

  test('answers with the current state if its wait ends before the work', async () => {
    const server = await startServer({ env: { INFERQL_MAX_WAIT_MS: '100' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const { data, status } = await server.upload<Classified>(CLASSIFY, [await paint(1)]);
    expect(status).toBe(200);
    expect(['QUEUED', 'PROCESSING']).toContain(data.classifyImage.status);
    expect(data.classifyImage).toMatchObject({ result: null, error: null, timings: null });
  });

  test('answers EXPIRED on time if no worker runs it', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    // The worker may already be claiming: this one keeps it busy.
    worker.settling.close();
    const started = Date.now();
    const { data } = await server.upload<Classified>(CLASSIFY, [await paint(1)], { timeoutMs: 300 });
    expect(data.classifyImage).toMatchObject({ status: 'EXPIRED', result: null, error: { code: 'DEADLINE_EXCEEDED' } });
    expect(Date.now() - started).toBeLessThan(2_000);
  });

  test('answers FAILED as data, with a code and no exception text', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data, errors } = await server.upload<Classified>(CLASSIFY, [await paint(13)]);
    expect(errors).toBeUndefined();
    expect(data.classifyImage).toMatchObject({ status: 'FAILED', result: null, error: { code: 'UNREADABLE_JOB' } });
  });

  test('64 at once each get the right answer, and leave no file', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const reds = Array.from({ length: 64 }, (_, i) => i * 3 + 20);
    const answers = await Promise.all(reds.map(async (red) => server.upload<Classified>(CLASSIFY, [await paint(red)])));
    expect(answers.map(({ data }) => data.classifyImage.result!.labels[0]!.index)).toEqual(reds);
    await server.uploadDirEmptied();
  });
});

describe('a mutation that selects no field of the result', () => {
  test('answers as soon as it is queued, with its place', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const first = await server.upload<Classified>(ENQUEUE, [await paint(1)]);
    expect(first.data.classifyImage).toMatchObject({ __typename: 'Prediction', status: 'QUEUED', queuePosition: 1 });
    worker.claiming.close();
    const places: (number | null)[] = [];
    for (let i = 0; i < 3; i++)
      places.push((await server.upload<Classified>(ENQUEUE, [await paint(i)])).data.classifyImage.queuePosition);
    expect(places.every((place) => place !== null && place >= 1)).toBe(true);
    expect(places[2]! - places[0]!).toBe(2);
  });

  test('fragments, @skip and @include decide', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const query = `mutation ($image: Upload!, $wait: Boolean!) { classifyImage(image: $image) { ...F } }
      fragment F on Prediction { id status result @include(if: $wait) { labels { index } } error @skip(if: true) { code } }`;
    const { data } = await server.upload<Classified>(query, [await paint(5)], { wait: false });
    expect(data.classifyImage.status).toBe('QUEUED');
    worker.settling.open();
    const waited = await server.upload<Classified>(query, [await paint(6)], { wait: true });
    expect(waited.data.classifyImage).toMatchObject({
      status: 'SUCCEEDED',
      result: { labels: [{ index: 6 }, {}, {}, {}, {}] },
    });
  });
});

describe('@defer', () => {
  const query = `mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction {
    id early: status ... @defer { status result { labels(topK: 1) { index } } }
  } } }`;

  test.each(['multipart/mixed', 'text/event-stream'])(
    'gives the id first and the result later (%s)',
    async (accept) => {
      const server = await startServer();
      const worker = await startWorker(server.prefix);
      worker.settling.close();
      const response = await server.fetch('/graphql', uploadRequest(query, [await paint(77)], {}, { accept }));
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toContain(accept);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('"hasNext"')) text += (await reader.read()).value ?? '';
      expect(text).toContain('"early":"QUEUED"');
      expect(text).not.toContain('"result"');
      worker.settling.open();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) text += chunk.value;
      expect(text).toContain('"status":"SUCCEEDED"');
      expect(text).toContain('"index":77');
    },
  );
});

test('an error in a deferred part has its code', async () => {
  const server = await startServer();
  await startWorker(server.prefix);
  const query =
    'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id ... @defer { result { labels(topK: 0) { index } } } } } }';
  const request = uploadRequest(query, [await paint(80)], {}, { accept: 'multipart/mixed' });
  expect(await (await server.fetch('/graphql', request)).text()).toContain('"extensions":{"code":"INVALID_INPUT"}');
});

test('a deferred part that ends before the work has the present place in the queue', async () => {
  const server = await startServer({ env: { INFERQL_MAX_WAIT_MS: '1000' } });
  await startWorker(server.prefix, {}, { idle: true });
  const query = (rest: string) =>
    `mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id early: queuePosition ${rest} } } }`;
  const before = await server.upload<{ classifyImage: { id: string } }>(query(''), [await paint(78)]);
  const deferring = query('... @defer { queuePosition result { labels { index } } }');
  const response = await server.fetch(
    '/graphql',
    uploadRequest(deferring, [await paint(79)], {}, { accept: 'multipart/mixed' }),
  );
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"early":2')) text += (await reader.read()).value ?? '';
  const { id } = before.data.classifyImage;
  await server.query('mutation ($id: ID!) { cancelPrediction(id: $id) { id } }', { id });
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) text += chunk.value;
  expect(text).toContain('"queuePosition":1');
});

describe('classifyImages', () => {
  const query = `mutation ($images: [Upload!]!) { classifyImages(images: $images) { __typename
    ... on Prediction { status result { labels(topK: 1) { index } } } ... on Error { code } } }`;

  test('answers in order, and a bad file does not affect the others', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data } = await server.upload<{ classifyImages: object[] }>(query, [
      await paint(50),
      'no image',
      await paint(60),
    ]);
    expect(data.classifyImages).toEqual([
      { __typename: 'Prediction', status: 'SUCCEEDED', result: { labels: [{ index: 50 }] } },
      { __typename: 'InvalidImageError', code: 'UNSUPPORTED_FORMAT' },
      { __typename: 'Prediction', status: 'SUCCEEDED', result: { labels: [{ index: 60 }] } },
    ]);
  });

  test('an item that finds no place in the queue is null, with its error and path, and HTTP status 200', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix, { queue: { maxQueueSize: 2 } });
    worker.claiming.close();
    worker.settling.close();
    const images = await Promise.all([1, 2, 3, 4, 5].map((red) => paint(red)));
    const { status, data, errors } = await server.upload<{ classifyImages: (object | null)[] }>(
      'mutation ($images: [Upload!]!) { classifyImages(images: $images) { __typename ... on Prediction { id } } }',
      images,
    );
    expect(status).toBe(200);
    const missing = data.classifyImages.flatMap((item, i) => (item === null ? [i] : []));
    expect(missing.length).toBeGreaterThan(0);
    expect(errors!.map(({ path }) => path![1]).sort()).toEqual(missing);
    for (const { extensions } of errors!) {
      expect(extensions).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: expect.any(Number) });
      expect(extensions).not.toHaveProperty('http');
    }
  });

  test('under one idempotencyKey of maximal length, each image is a separate prediction', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const keyed = `mutation ($images: [Upload!]!, $key: String) { classifyImages(images: $images, idempotencyKey: $key) {
      __typename ... on Prediction { id status } ... on Error { code } } }`;
    const send = async () => {
      const images = [await paint(50), await paint(60)];
      return (await server.upload<{ classifyImages: { id: string }[] }>(keyed, images, { key: 'k'.repeat(200) })).data;
    };
    const ids = ({ classifyImages }: Awaited<ReturnType<typeof send>>) => classifyImages.map(({ id }) => id);
    const first = ids(await send());
    expect(new Set(first).size).toBe(2);
    expect(first.every((id) => id?.startsWith('tiny.'))).toBe(true);
    expect(ids(await send())).toEqual(first);
  });

  test('more files than allowed are refused', async () => {
    const server = await startServer({ env: { INFERQL_MAX_IMAGES: '2' } });
    await startWorker(server.prefix);
    const { status } = await server.upload(query, [await paint(1), await paint(2), await paint(3)]);
    expect(status).toBe(413);
  });
});

describe('heatmaps', () => {
  const query = `mutation ($image: Upload!, $index: Int) { classifyImage(image: $image) { ... on Prediction { result {
    heatmap(index: $index) { __typename ... on Heatmap { width height values image } ... on HeatmapUnavailableError { code } } } } } }`;

  test('are computed when the mutation selects one', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data } = await server.upload<{ classifyImage: { result: { heatmap: Record<string, unknown> } } }>(query, [
      await paint(40),
    ]);
    const { heatmap } = data.classifyImage.result;
    expect(heatmap).toMatchObject({ __typename: 'Heatmap', width: 2, height: 2, values: [0, 0.25, 0.5, 1] });
    expect(heatmap.image).toMatch(/^data:image\/png;base64,/);
  });

  test('say why they are unavailable', async () => {
    const server = await startServer();
    await startWorker(server.prefix, { heatmap: { available: false, reason: 'no pooling' } });
    const { data } = await server.upload<{ classifyImage: { result: object } }>(query, [await paint(41)]);
    expect(data.classifyImage.result).toEqual({
      heatmap: { __typename: 'HeatmapUnavailableError', code: 'HEATMAP_UNAVAILABLE' },
    });
  });
});
