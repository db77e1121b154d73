/** What costs a caller's limits nothing: every refusal, and what ends before a worker begins it. queue/access/refunds.test.ts tests the step. */
import { expect, test } from 'vitest';
import { startGuardedServer } from '../callers.ts';
import type { Answer } from '../requests.ts';
import { atEnd, CLASSIFY, ENQUEUE, MODEL, paint, startWorker } from '../server-harness.ts';

interface Classified {
  classifyImage: { __typename: string; id: string; status: string; code?: string; cached?: boolean } | null;
}
interface Viewed {
  viewer: { limits: { remaining: number }[] };
}

/** Of machine time, of images and of bytes, by rate and by quota. The rate refills nothing while a test runs. */
const LIMITS = '1ms/h:5000,100images/day,1000000bytes/month';
const IMAGE_BYTES = MODEL.input.width * MODEL.input.height * MODEL.input.channels;

async function setUp(queue: Partial<typeof MODEL.queue> = {}) {
  const { server, makeKey } = await startGuardedServer({
    env: { INFERQL_TENANT_LIMITS: LIMITS, INFERQL_CACHE_TTL_MS: '60000', INFERQL_SHARE: 'on' },
  });
  const worker = await startWorker(server.prefix, { queue });
  const key = await makeKey();
  return {
    server,
    worker,
    makeKey,
    headers: key.headers,
    upload: async (query: string, image: Buffer | string, variables: object = {}, headers = key.headers) =>
      server.upload<Classified>(query, [image], variables, headers),
    /** How many images' worth was taken, by all three limits. */
    async countCharged(): Promise<number> {
      const { data } = await server.query<Viewed>('{ viewer { limits { remaining } } }', {}, key.headers);
      const [ms, images, bytes] = data.viewer.limits.map(({ remaining }) => remaining) as [number, number, number];
      // The harness' worker reports 50 ms per image.
      expect([Math.round((5_000 - ms) / 50), (1_000_000 - bytes) / IMAGE_BYTES]).toEqual([100 - images, 100 - images]);
      return 100 - images;
    },
  };
}

type Caller = Awaited<ReturnType<typeof setUp>>;

function outcomeOf({ errors, data }: Answer<Classified>): string {
  return String(errors?.[0]?.extensions?.code ?? data.classifyImage?.code ?? data.classifyImage?.status);
}

/** By the outcome of a request; each begins with one image charged, which is done. */
const FREE: Record<string, { queue?: Partial<typeof MODEL.queue>; ask(caller: Caller): Promise<Answer<Classified>> }> =
  {
    UNSUPPORTED_FORMAT: { ask: ({ upload }) => upload(CLASSIFY, 'no image') },
    CORRUPT: { ask: async ({ upload }) => upload(CLASSIFY, (await paint(2, 64)).subarray(0, 60)) },
    INVALID_INPUT: { ask: async ({ upload }) => upload(CLASSIFY, await paint(2), { topK: 0 }) },
    MODEL_NOT_FOUND: { ask: async ({ upload }) => upload(CLASSIFY, await paint(2), { model: 'other' }) },
    IDEMPOTENCY_KEY_REUSED: { ask: async ({ upload }) => upload(CLASSIFY, await paint(2), { key: 'k' }) },
    QUEUE_FULL: {
      queue: { maxQueueSize: 1 },
      async ask({ worker, upload, makeKey }) {
        worker.claiming.close();
        const bob = await makeKey({ tenant: 'bob' });
        await upload(ENQUEUE, await paint(3), {}, bob.headers);
        return upload(ENQUEUE, await paint(2));
      },
    },
    DEADLINE_UNREACHABLE: {
      queue: { refuseUnreachableDeadlines: true },
      ask: async ({ upload }) => upload(ENQUEUE, await paint(2), { timeoutMs: 1 }),
    },
    UNAVAILABLE: {
      queue: { graceMs: 0 },
      async ask({ worker, upload }) {
        worker.claiming.close();
        await worker.consumer.deregister();
        return upload(ENQUEUE, await paint(2));
      },
    },
    RATE_LIMITED: {
      async ask({ upload, makeKey }) {
        const { headers } = await makeKey({ limits: '1bytes/day' });
        return upload(ENQUEUE, await paint(2), {}, headers);
      },
    },
    FORBIDDEN: {
      async ask({ upload, makeKey }) {
        return upload(ENQUEUE, await paint(2), {}, (await makeKey({ scopes: ['read'] })).headers);
      },
    },
    'SUCCEEDED, repeated': { ask: async ({ upload }) => upload(CLASSIFY, await paint(1), { key: 'k' }) },
    'SUCCEEDED, from the cache': { ask: async ({ upload }) => upload(CLASSIFY, await paint(1)) },
  };

test.each(Object.entries(FREE))('%s takes nothing', async (name, { queue, ask }) => {
  const caller = await setUp(queue);
  await caller.upload(CLASSIFY, await paint(1), { key: 'k' });
  expect(await caller.countCharged()).toBe(1);
  expect(outcomeOf(await ask(caller))).toBe(name.split(',')[0]);
  expect(await caller.countCharged()).toBe(1);
});

test('beyond a limit a key repeats the prediction that it names, and begins no other', async () => {
  const { upload, makeKey } = await setUp();
  const { headers } = await makeKey({ tenant: 'bob', limits: '1images/day' });
  const ask = async (red: number, key: string) => upload(CLASSIFY, await paint(red), { key }, headers);
  const expired = await upload(CLASSIFY, await paint(2), { key: 'free', timeoutMs: 1 }, headers);
  expect(expired.data.classifyImage).toMatchObject({ status: 'EXPIRED' });
  // Its refund may take a moment.
  await expect.poll(async () => outcomeOf(await ask(3, 'paid'))).toBe('SUCCEEDED');
  expect(outcomeOf(await ask(2, 'free'))).toBe('RATE_LIMITED');
  expect(outcomeOf(await ask(4, 'free'))).toBe('RATE_LIMITED');
  expect(outcomeOf(await ask(4, 'new'))).toBe('RATE_LIMITED');
  expect(outcomeOf(await ask(3, 'paid'))).toBe('SUCCEEDED');
});

test('work that another request already does is charged once', async () => {
  const { worker, upload, countCharged } = await setUp();
  worker.claiming.close();
  await upload(ENQUEUE, await paint(2));
  expect((await upload(ENQUEUE, await paint(2))).data.classifyImage).toMatchObject({ status: 'QUEUED', cached: true });
  expect(await countCharged()).toBe(1);
});

test('a prediction that is canceled in the queue is refunded in the same answer, once', async () => {
  const { server, worker, upload, countCharged, headers } = await setUp();
  worker.claiming.close();
  await upload(ENQUEUE, await paint(1));
  const { data } = await upload(ENQUEUE, await paint(2));
  expect(await countCharged()).toBe(2);
  const cancel = () =>
    server.query(
      'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }',
      { id: data.classifyImage!.id },
      headers,
    );
  await cancel();
  expect(await countCharged()).toBe(1);
  await cancel();
  expect(await countCharged()).toBe(1);
});

test('a prediction that expires in the queue is refunded, even if nobody watches it', async () => {
  const { worker, upload, countCharged } = await setUp();
  worker.claiming.close();
  await upload(ENQUEUE, await paint(1));
  await upload(ENQUEUE, await paint(2), { timeoutMs: 1 });
  await expect.poll(countCharged).toBe(1);
});

test('a prediction left in the queue by a client that disconnected is refunded', async () => {
  const { server, worker, upload, countCharged, headers } = await setUp();
  worker.claiming.close();
  await upload(ENQUEUE, await paint(1));
  const leaving = new AbortController();
  atEnd(() => leaving.abort());
  const form = new FormData();
  form.set('operations', JSON.stringify({ query: CLASSIFY, variables: { image: null } }));
  form.set('map', JSON.stringify({ 0: ['variables.image'] }));
  form.set('0', new Blob([new Uint8Array(await paint(2))]), 'file');
  const answer = server.fetch('/graphql', {
    method: 'POST',
    headers: { 'x-graphql-yoga-csrf': '1', accept: 'application/json', ...headers },
    body: form,
    signal: leaving.signal,
  });
  await expect.poll(countCharged).toBe(2);
  leaving.abort();
  await answer.catch(() => undefined);
  await expect.poll(countCharged).toBe(1);
});

test('a prediction that a worker has started is charged, however it ends', async () => {
  const { server, worker, upload, countCharged, headers } = await setUp();
  worker.settling.close();
  const { data } = await upload(ENQUEUE, await paint(1));
  while (worker.countRuns() === 0) await server.components.isReady();
  await server.query(
    'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }',
    { id: data.classifyImage!.id },
    headers,
  );
  worker.settling.open();
  // 13 is an image that the worker fails.
  expect(outcomeOf(await upload(CLASSIFY, await paint(13)))).toBe('FAILED');
  expect(await countCharged()).toBe(2);
});
