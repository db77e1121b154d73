/** Connections to Redis that break between a step and its reply: what a caller is charged is what it has jobs for. */
import { type RedisProxy, startRedisProxy } from '@inferql/testing/redis/redis-proxy';
import { expect, test } from 'vitest';
import { startGuardedServer } from './callers.ts';
import { atEnd, CLASSIFY, connect, ENQUEUE, paint, startWorker, testRedis } from './server-harness.ts';

interface Classified {
  classifyImage: { id: string; status: string; code?: string } | null;
}

/** How the reply of a step begins. */
const TAKEN = /^\*\d+\r\n:1\r\n:0\r\n\$0\r\n/;
const ADMITTED = /^\*2\r\n\$8\r\nadmitted/;
/** In the command of a step. */
const ADMISSION = '"fingerprint"';
const REFUND = '\r\n300000\r\n';

async function setUp() {
  const proxy = await startRedisProxy(testRedis().port);
  atEnd(() => proxy.stop());
  const { server, makeKey } = await startGuardedServer({
    redisUrl: proxy.url,
    env: { INFERQL_TENANT_LIMITS: '1ms/h:5000,100images/day', INFERQL_SHARE: 'off' },
  });
  const worker = await startWorker(server.prefix);
  const { headers } = await makeKey();
  const direct = connect('work');
  const upload = async (query: string, image: Buffer | string) =>
    server.upload<Classified>(query, [image], {}, headers);
  // So that nothing has to be loaded when a test begins.
  expect((await upload(CLASSIFY, await paint(1))).data.classifyImage?.status).toBe('SUCCEEDED');
  return {
    proxy,
    worker,
    upload,
    async countEnded(status: string): Promise<number> {
      return Number(await direct.hget(`${server.prefix}:{tiny}:counters`, `ended:${status}`));
    },
    /** Images that were charged in addition to the first one, by both limits; undefined while Redis is down. */
    async countCharged(): Promise<number | undefined> {
      const { data, errors } = await server.query<{ viewer: { limits: { remaining: number }[] } }>(
        '{ viewer { limits { remaining } } }',
        {},
        headers,
      );
      if (errors) return undefined;
      const [ms, images] = data.viewer.limits.map(({ remaining }) => remaining) as [number, number];
      expect(Math.round((5_000 - ms) / 50)).toBe(100 - images);
      return 100 - images - 1;
    },
    /** Ends the fault, and lets the server give back what it still has to: it does so whenever a prediction was canceled. */
    async restore(): Promise<void> {
      proxy.restore();
      worker.claiming.close();
      await expect
        .poll(async () => (await upload(ENQUEUE, await paint(200))).data?.classifyImage?.status)
        .toBe('QUEUED');
      const waiting = await direct.zrange(`${server.prefix}:{tiny}:waiting`, '0', '-1');
      const { data } = await server.query<{ cancelPrediction: { status: string } }>(
        'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }',
        { id: waiting.at(-1) },
        headers,
      );
      expect(data.cancelPrediction.status).toBe('CANCELED');
    },
  };
}

const codeOf = (answer: Awaited<ReturnType<Awaited<ReturnType<typeof setUp>>['upload']>>) =>
  answer.errors?.[0]?.extensions?.code ?? answer.data.classifyImage?.code;

test('a job whose admission lost its reply is charged, and runs', async () => {
  const { proxy, worker, upload, restore, countCharged, countEnded } = await setUp();
  worker.claiming.close();
  const cut = proxy.cutAtReply(ADMITTED);
  const answer = upload(ENQUEUE, await paint(2));
  await cut;
  expect(codeOf(await answer)).toBe('UNAVAILABLE');
  await restore();
  expect(await countCharged()).toBe(1);
  worker.claiming.open();
  await expect.poll(() => countEnded('SUCCEEDED')).toBe(2);
  expect(await countCharged()).toBe(1);
});

test('a job whose admission got no reply in time, since the connection is silent, is found, charged and answered', async () => {
  const { proxy, upload, countCharged } = await setUp();
  const silent = proxy.silenceAtReply(ADMITTED);
  const answer = upload(CLASSIFY, await paint(2));
  await silent;
  expect((await answer).data?.classifyImage?.status).toBe('SUCCEEDED');
  expect(await countCharged()).toBe(1);
});

test('a mutation whose admission lost its reply is answered if Redis can be asked again', async () => {
  const { proxy, upload, countCharged, countEnded } = await setUp();
  const cut = proxy.cutAtReply(ADMITTED).then(() => proxy.restore());
  const { data } = await upload(CLASSIFY, await paint(2));
  await cut;
  expect(data.classifyImage?.status).toBe('SUCCEEDED');
  expect(await countCharged()).toBe(1);
  expect(await countEnded('SUCCEEDED')).toBe(2);
});

/** What is lost, and the answer. No job comes of it, and nothing is charged. */
const WITHOUT_JOB: Record<string, { cut(proxy: RedisProxy): Promise<void>; image?: string; code: string }> = {
  'an admission that Redis never got': { cut: (proxy) => proxy.cutAtCommand(ADMISSION), code: 'UNAVAILABLE' },
  'the reply of a charge': { cut: (proxy) => proxy.cutAtReply(TAKEN), code: 'UNAVAILABLE' },
  'the refund of an image that cannot be read': {
    cut: (proxy) => proxy.cutAtCommand(REFUND),
    image: 'no image',
    code: 'UNSUPPORTED_FORMAT',
  },
};

test.each(Object.entries(WITHOUT_JOB))('if %s is lost, the charge is refunded when Redis is back', async (_, fault) => {
  const { proxy, worker, upload, restore, countCharged, countEnded } = await setUp();
  const cut = fault.cut(proxy);
  const answer = upload(ENQUEUE, fault.image ?? (await paint(2)));
  await cut;
  expect(codeOf(await answer)).toBe(fault.code);
  await restore();
  expect(await countCharged()).toBe(0);
  worker.claiming.open();
  expect(await countEnded('SUCCEEDED')).toBe(1);
});
