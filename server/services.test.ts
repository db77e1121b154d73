import { expect, test } from 'vitest';
import { ENQUEUE, paint, startServer, startWorker } from './server.fixture.ts';

test('a prediction that nobody follows and no worker takes ends EXPIRED by itself, and its pixels leave Redis', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, {}, { idle: true });
  await worker.consumer.leave();
  const { data } = await server.upload<{ classifyImage: { id: string; status: string } }>(ENQUEUE, [await paint(1)], {
    timeoutMs: 50,
  });
  expect(data.classifyImage.status).toBe('QUEUED');
  const read = () =>
    server.query<{ prediction: { status: string; error: { code: string } | null } }>(
      'query ($id: ID!) { prediction(id: $id) { status error { code } } }',
      { id: data.classifyImage.id },
    );
  await expect
    .poll(async () => (await read()).data.prediction, { timeout: 10_000 })
    .toEqual({ status: 'EXPIRED', error: { code: 'DEADLINE_EXCEEDED' } });
  const streams = await server.redis.keys(`${server.prefix}:{tiny}:stream:*`);
  expect(await Promise.all(streams.map((stream) => server.redis.xlen(stream)))).toEqual(streams.map(() => 0));
});
