/** Whose counts a caller sees in `queue`, over every transport. */
import { Registry } from '@inferql/queue/models/registry';
import { openSocket, send, subscribeSse } from '@inferql/testing/system/graphql-client';
import { expect, test } from 'vitest';
import { bearer, startGuardedServer } from './callers.ts';
import { open } from './http-harness.ts';
import { atEnd, connect, ENQUEUE, MODEL, paint, startServer, startWorker } from './server-harness.ts';

const FIELDS = `waiting processing queuedBytes tenants { tenant waiting processing } deadLetters ended { canceled }`;
const IMAGE_BYTES = MODEL.input.width * MODEL.input.height * MODEL.input.channels;

interface Seen {
  queue: {
    waiting: number;
    processing: number;
    queuedBytes: number;
    tenants: { tenant: string; waiting: number; processing: number }[] | null;
    deadLetters: number | null;
    ended: { canceled: number } | null;
  };
}

type Ask = (url: string, key: string | undefined) => Promise<Seen['queue']>;
const headersOf = (key: string | undefined): Record<string, string> => (key ? bearer(key) : {});

const transports: Record<string, Ask> = {
  async query(url, key) {
    const { data } = await send<Seen>(url, { query: `{ queue { ${FIELDS} } }` }, undefined, headersOf(key));
    return data!.queue;
  },
  async model(url, key) {
    const query = `{ model(name: "tiny") { queue { ${FIELDS} } } }`;
    const { data } = await send<{ model: Seen }>(url, { query }, undefined, headersOf(key));
    return data!.model.queue;
  },
  async sse(url, key) {
    const leaving = new AbortController();
    const query = `subscription { queue { ${FIELDS} } }`;
    const { value } = await subscribeSse<Seen>(url, { query }, leaving.signal, headersOf(key)).next();
    leaving.abort();
    return value!.data!.queue;
  },
  async webSocket(url, key) {
    const socket = openSocket(url, headersOf(key));
    atEnd(() => socket.close());
    const { value } = await socket.subscribe<Seen>({ query: `subscription { queue { ${FIELDS} } }` }).next();
    return value!.data!.queue;
  },
};

const HIDDEN = { tenants: null, deadLetters: null, ended: null };
/** One of alice is processed and one waits, three of bob wait, one of bob was canceled. */
const TABLE = {
  alice: { waiting: 1, processing: 1, queuedBytes: 2 * IMAGE_BYTES, ...HIDDEN },
  bob: { waiting: 3, processing: 0, queuedBytes: 3 * IMAGE_BYTES, ...HIDDEN },
  carol: { waiting: 0, processing: 0, queuedBytes: 0, ...HIDDEN },
  operator: {
    waiting: 4,
    processing: 1,
    queuedBytes: 5 * IMAGE_BYTES,
    tenants: [
      { tenant: 'bob', waiting: 3, processing: 0 },
      { tenant: 'alice', waiting: 1, processing: 1 },
    ],
    deadLetters: 0,
    ended: { canceled: 1 },
  },
};

test('each caller sees its tenant’s counts, an operator those of all', async () => {
  const { server, makeKey } = await startGuardedServer();
  const worker = await startWorker(server.prefix, {}, { idle: true });
  const url = await open(server);
  const keys = {
    alice: (await makeKey()).text,
    bob: (await makeKey({ tenant: 'bob' })).text,
    carol: (await makeKey({ tenant: 'carol' })).text,
    operator: (await makeKey({ tenant: 'carol', scopes: ['read', 'operate'] })).text,
  };
  const upload = async (who: keyof typeof keys) =>
    (await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(1)], {}, bearer(keys[who]))).data;
  await upload('alice');
  worker.settling.close();
  worker.claiming.open();
  await expect.poll(async () => (await transports.query!(url, keys.operator)).processing).toBe(1);
  worker.claiming.close();
  await upload('alice');
  for (let i = 0; i < 3; i++) await upload('bob');
  const { classifyImage } = await upload('bob');
  const cancel = 'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }';
  await server.query(cancel, { id: classifyImage.id }, bearer(keys.bob));
  for (const [transport, ask] of Object.entries(transports)) {
    for (const [who, expected] of Object.entries(TABLE)) {
      const seen = async () => ask(url, keys[who as keyof typeof keys]);
      // A server reads a queue at most five times a second.
      await expect.poll(seen, { message: `${who} by ${transport}` }).toEqual(expected);
    }
  }
});

test('a subscription is silent while only others send', async () => {
  const { server, makeKey } = await startGuardedServer();
  await startWorker(server.prefix, {}, { idle: true });
  const url = await open(server);
  const [alice, bob] = [await makeKey(), await makeKey({ tenant: 'bob' })];
  const operator = await makeKey({ scopes: ['read', 'operate'] });
  // The rate is not known at first.
  const rate = async ({ headers }: typeof operator) =>
    (await server.query<{ queue: { ratePerSecond: number | null } }>('{ queue { ratePerSecond } }', {}, headers)).data
      .queue.ratePerSecond;
  await expect.poll(() => rate(operator)).toBe(0);
  expect(await rate(alice)).toBeNull();
  const leaving = new AbortController();
  atEnd(() => leaving.abort());
  const watch = (headers: Record<string, string>) =>
    subscribeSse<Seen>(url, { query: 'subscription { queue { waiting } }' }, leaving.signal, headers);
  const [own, whole] = [watch(alice.headers), watch(operator.headers)];
  await Promise.all([own.next(), whole.next()]);
  await server.upload(ENQUEUE, [await paint(1)], {}, bob.headers);
  expect((await whole.next()).value!.data!.queue.waiting).toBe(1);
  await server.upload(ENQUEUE, [await paint(1)], {}, alice.headers);
  expect((await own.next()).value!.data!.queue.waiting).toBe(1);
  expect((await whole.next()).value!.data!.queue.waiting).toBe(2);
});

test('a subscription to a model that is forgotten ends', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, {}, { idle: true });
  const url = await open(server);
  const events = subscribeSse<Seen>(url, { query: 'subscription { queue { waiting } }' });
  await events.next();
  await worker.consumer.deregister();
  await new Registry(connect('work'), { prefix: server.prefix }).forget('tiny');
  const { value } = await events.next();
  expect(value!.errors![0]!.extensions).toMatchObject({ code: 'MODEL_NOT_FOUND' });
});

test('without authentication everyone sees the whole queue', async () => {
  const server = await startServer();
  await startWorker(server.prefix, {}, { idle: true });
  const url = await open(server);
  await server.upload(ENQUEUE, [await paint(1)]);
  expect(await transports.query!(url, undefined)).toMatchObject({
    waiting: 1,
    tenants: [{ tenant: 'anonymous', waiting: 1, processing: 0 }],
    deadLetters: 0,
  });
});
