import { connectRedis } from '@inferql/queue/redis/connection';
import { until } from '@inferql/testing/until';
import { expect, test } from 'vitest';
import { ANONYMOUS } from '../access/principal.ts';
import { CLASSIFY, ENQUEUE, paint, type Server, startServer, startWorker, testRedis } from './server-harness.ts';

interface Classified {
  classifyImage: { id: string; status: string };
}

/** A quick refusal with a message, a code and a retry time. */
async function expectUnavailable(server: Server) {
  const started = Date.now();
  const { status, data, errors, headers } = await server.upload(ENQUEUE, [await paint(9)]);
  expect(status).toBe(503);
  expect(data).toBeNull();
  expect(errors).toHaveLength(1);
  expect(errors![0]!.extensions).toEqual({ code: 'UNAVAILABLE', retryAfterMs: expect.any(Number) });
  expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  expect(Date.now() - started).toBeLessThan(4_000);
  await server.uploadDirEmptied();
}

async function expectRecovered(server: Server) {
  await until(() => server.components.isReady(), Boolean);
  const image = await paint(10);
  const { data } = await until(
    () => server.upload<Classified>(CLASSIFY, [image]),
    ({ status }) => status !== 503,
  );
  expect(data.classifyImage.status).toBe('SUCCEEDED');
}

test('while Redis is down everything is UNAVAILABLE, and everything recovers with it', async () => {
  const server = await startServer();
  await startWorker(server.prefix);
  const { data } = await server.upload<Classified>(CLASSIFY, [await paint(8)]);
  await testRedis().kill9();
  await expectUnavailable(server);
  expect((await server.fetch('/health/ready')).status).toBe(503);
  expect((await server.fetch('/health/live')).status).toBe(200);
  const look = await server.query('query ($id: ID!) { prediction(id: $id) { status } }', { id: data.classifyImage.id });
  expect(look.data).toEqual({ prediction: null });
  expect(look.errors![0]!.extensions!.code).toBe('UNAVAILABLE');
  await testRedis().restart();
  await expectRecovered(server);
  const again = await server.query<{ prediction: object }>('query ($id: ID!) { prediction(id: $id) { status } }', {
    id: data.classifyImage.id,
  });
  expect(again.data.prediction).toEqual({ status: 'SUCCEEDED' });
});

test('queue subscriptions end with UNAVAILABLE if the queue cannot be read', async () => {
  const server = await startServer();
  await startWorker(server.prefix);
  const { services } = server.components;
  const moments = (await services.watchQueue(ANONYMOUS, undefined))[Symbol.asyncIterator]();
  expect((await moments.next()).value).toMatchObject({ waiting: 0 });
  const { pid } = testRedis();
  try {
    // From here on it answers nobody; the connections stay open.
    process.kill(pid, 'SIGSTOP');
    // A moment that was read before is still delivered.
    const readToEnd = async () => {
      while (!(await moments.next()).done);
    };
    await expect(readToEnd()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(services.watchQueue(ANONYMOUS, undefined)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await expectRecovered(server);
  const again = (await services.watchQueue(ANONYMOUS, undefined))[Symbol.asyncIterator]();
  expect((await again.next()).value).toMatchObject({ waiting: 0 });
  await again.return!();
});

test.each([
  ['out of memory', ['config', 'set', 'maxmemory', '1'], ['config', 'set', 'maxmemory', '0']],
  ['read-only', ['replicaof', '127.0.0.1', '1'], ['replicaof', 'no', 'one']],
] as const)(
  'while Redis is %s everything is UNAVAILABLE, and it accepts work again afterwards',
  async (_name, [spoil, ...how], [restore, ...back]) => {
    const server = await startServer();
    await startWorker(server.prefix);
    await server.upload(CLASSIFY, [await paint(8)]);
    const admin = connectRedis(testRedis().url, 'work');
    try {
      await admin.call(spoil, ...how);
      await expectUnavailable(server);
      await admin.call(restore, ...back);
      await expectRecovered(server);
    } finally {
      await admin.call(restore, ...back);
      admin.disconnect();
    }
  },
);

test('a mutation that waits for what Redis has lost is UNAVAILABLE at once, and does not wait forever', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, {}, { idle: true });
  const answer = server.upload<Classified>(CLASSIFY, [await paint(8)]);
  const admin = connectRedis(testRedis().url, 'work');
  try {
    const looks = async () => (await server.query<{ queue: { waiting: number } }>('{ queue { waiting } }')).data;
    await expect.poll(looks).toEqual({ queue: { waiting: 1 } });
    await admin.flushall();
    await admin.call('client', 'kill', 'type', 'pubsub');
    const { status, errors } = await answer;
    expect(status).toBe(503);
    expect(errors![0]!.extensions!.code).toBe('UNAVAILABLE');
  } finally {
    admin.disconnect();
    worker.claiming.open();
  }
});
