import { expect, test } from 'vitest';
import { ENQUEUE, paint, startServer, startWorker } from './test/server-harness.ts';

test.each([
  ['no worker takes', 'leave'],
  ['whose model was withdrawn', 'withdraw'],
] as const)('a prediction that nobody follows and %s ends EXPIRED, and its pixels leave Redis', async (_, go) => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, {}, { idle: true });
  if (go === 'leave') await worker.consumer.deregister();
  const { data } = await server.upload<{ classifyImage: { id: string; status: string } }>(ENQUEUE, [await paint(1)], {
    timeoutMs: 200,
  });
  expect(data.classifyImage.status).toBe('QUEUED');
  if (go === 'withdraw') await worker.consumer.withdraw();
  const read = () =>
    server.query<{ prediction: { status: string; error: { code: string } | null } }>(
      'query ($id: ID!) { prediction(id: $id) { status error { code } } }',
      { id: data.classifyImage.id },
    );
  await expect
    .poll(async () => (await read()).data.prediction)
    .toEqual({ status: 'EXPIRED', error: { code: 'DEADLINE_EXCEEDED' } });
  const streams = await server.redis.keys(`${server.prefix}:{tiny}:stream:*`);
  expect(await Promise.all(streams.map((stream) => server.redis.xlen(stream)))).toEqual(streams.map(() => 0));
});
