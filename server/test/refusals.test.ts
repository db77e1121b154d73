import { describe, expect, test } from 'vitest';
import { CLASSIFY, ENQUEUE, paint, startServer, startWorker } from './server-harness.ts';

interface Classified {
  classifyImage: object;
}

describe('refusals that the caller can fix', () => {
  test.each([
    ['topK', { topK: 0 }],
    ['topK', { topK: 1001 }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['timeoutMs', { timeoutMs: -5 }],
    ['timeoutMs', { timeoutMs: 86_400_001 }],
    ['idempotencyKey', { key: '' }],
    ['idempotencyKey', { key: 'x'.repeat(201) }],
  ])('a bad %s (%o) is InvalidInputError', async (argument, variables) => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { status, data } = await server.upload<Classified>(CLASSIFY, [await paint(1)], variables);
    expect(status).toBe(200);
    expect(data.classifyImage).toMatchObject({ __typename: 'InvalidInputError', code: 'INVALID_INPUT', argument });
  });

  test.each(['nothing', 'NOT/a-name', '', '../tiny'])('the model %j is ModelNotFoundError', async (model) => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { status, data } = await server.upload<Classified>(CLASSIFY, [await paint(1)], { model });
    expect(status).toBe(200);
    expect(data.classifyImage).toMatchObject({ __typename: 'ModelNotFoundError', code: 'MODEL_NOT_FOUND' });
  });

  test('an idempotencyKey names the same prediction, even if the model has changed and takes other pixels', async () => {
    const server = await startServer();
    const before = await startWorker(server.prefix);
    const first = await server.upload<Classified>(CLASSIFY, [await paint(90)], { key: 'order 67' });
    await before.consumer.deregister();
    const input = { width: 4, height: 4, channels: 3, kernel: 'linear' } as const;
    await startWorker(server.prefix, { version: 'bbbbbbbbbbbb', input });
    await expect
      .poll(async () => (await server.query('{ models { version } }')).data)
      .toEqual({ models: [{ version: 'bbbbbbbbbbbb' }] });
    const again = await server.upload<Classified>(CLASSIFY, [await paint(90)], { key: 'order 67' });
    expect(again.data.classifyImage).toEqual(first.data.classifyImage);
    const other = await server.upload<Classified>(CLASSIFY, [await paint(91)], { key: 'order 67' });
    expect(other.data.classifyImage).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  });

  test('an idempotencyKey with another image is an error, with the same one the same prediction', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const first = await server.upload<Classified>(CLASSIFY, [await paint(90)], { key: 'order 66' });
    const again = await server.upload<Classified>(CLASSIFY, [await paint(90)], { key: 'order 66' });
    expect(again.data.classifyImage).toEqual(first.data.classifyImage);
    const other = await server.upload<Classified>(CLASSIFY, [await paint(91)], { key: 'order 66' });
    expect(other.data.classifyImage).toMatchObject({
      __typename: 'InvalidInputError',
      code: 'IDEMPOTENCY_KEY_REUSED',
      argument: 'idempotencyKey',
    });
  });
});

describe('refusals that only time can fix', () => {
  test('a full queue is QUEUE_FULL with HTTP 503, Retry-After and retryAfterMs', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix, { queue: { maxQueueSize: 1 } });
    worker.claiming.close();
    worker.settling.close();
    const answers = [];
    for (let red = 1; red <= 5; red++) answers.push(await server.upload<Classified>(ENQUEUE, [await paint(red)]));
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const { data, errors, headers } of refused) {
      expect(data).toBeNull();
      expect(errors![0]!.extensions).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: expect.any(Number) });
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    }
  });

  test('a queue known to be full refuses before the image is decoded', async () => {
    const server = await startServer();
    await startWorker(server.prefix, { queue: { maxQueueSize: 1 } }, { idle: true });
    expect((await server.upload<Classified>(ENQUEUE, [await paint(1)])).status).toBe(200);
    expect((await server.upload<Classified>(ENQUEUE, [await paint(1)])).status).toBe(503);
    expect((await server.upload(ENQUEUE, ['not even an image'])).status).toBe(503);
  });

  test('a key changes nothing about that, unless it names a prediction that has its place', async () => {
    const server = await startServer();
    await startWorker(server.prefix, { queue: { maxQueueSize: 1 } }, { idle: true });
    const first = await server.upload<Classified>(ENQUEUE, [await paint(1)], { key: 'mine' });
    expect((await server.upload<Classified>(ENQUEUE, [await paint(2)], { key: 'other' })).status).toBe(503);
    expect((await server.upload(ENQUEUE, ['not even an image'], { key: 'third' })).status).toBe(503);
    const again = await server.upload<Classified>(ENQUEUE, [await paint(1)], { key: 'mine' });
    expect(again.data.classifyImage).toEqual(first.data.classifyImage);
  });

  test('if there is no model at all, it is UNAVAILABLE', async () => {
    const server = await startServer();
    const { status, errors, headers } = await server.upload(CLASSIFY, [await paint(1)]);
    expect(status).toBe(503);
    expect(errors![0]!.extensions!.code).toBe('UNAVAILABLE');
    expect(headers.has('retry-after')).toBe(true);
  });
});
