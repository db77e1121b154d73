/** What a caller may hold open at once, and how a refusal looks on each transport. */
import { openSocket, subscribeSse } from '@inferql/testing/system/graphql-client';
import { describe, expect, test } from 'vitest';
import { bearer, startGuardedServer } from './callers.ts';
import { open } from './http-harness.ts';
import { uploadRequest } from './requests.ts';
import { atEnd, CLASSIFY, ENQUEUE, paint, type Server, startServer, startWorker } from './server-harness.ts';

interface Classified {
  classifyImage: { id: string; status: string } | null;
}

const WATCH_QUEUE = { query: 'subscription { queue { waiting } }' };
const REFUSED = { code: 'RATE_LIMITED', retryAfterMs: 1_000 };

/** Opens a subscription; `refusal` is what it was refused with, or undefined. */
type Watch = (
  url: string,
  headers: Record<string, string>,
) => Promise<{ refusal: object | undefined; leave(): Promise<unknown> }>;

const transports: Record<string, Watch> = {
  async sse(url, headers) {
    const leaving = new AbortController();
    atEnd(() => leaving.abort());
    const events = subscribeSse<object>(url, WATCH_QUEUE, leaving.signal, headers);
    const { value } = await events.next();
    return { refusal: value?.errors?.[0]?.extensions, leave: async () => leaving.abort() };
  },
  async webSocket(url, headers) {
    const socket = openSocket(url, headers);
    atEnd(() => socket.close());
    const { value } = await socket.subscribe<object>(WATCH_QUEUE).next();
    return { refusal: value?.errors?.[0]?.extensions, leave: () => socket.close() };
  },
};

describe.each(Object.entries(transports))('subscriptions over %s', (_, watch) => {
  test('are bounded per tenant, over all its keys and connections, and an ended one frees its place', async () => {
    const { server, makeKey } = await startGuardedServer({ env: { INFERQL_MAX_SUBSCRIPTIONS: '2' } });
    await startWorker(server.prefix);
    const url = await open(server);
    const [key, second, bob] = [await makeKey(), await makeKey(), await makeKey({ tenant: 'bob' })];
    const first = await watch(url, bearer(key.text));
    expect(first.refusal).toBeUndefined();
    expect((await watch(url, bearer(second.text))).refusal).toBeUndefined();
    expect((await watch(url, bearer(key.text))).refusal).toEqual(REFUSED);
    expect((await watch(url, bearer(second.text))).refusal).toEqual(REFUSED);
    expect((await watch(url, bearer(bob.text))).refusal).toBeUndefined();
    await first.leave();
    await expect.poll(async () => (await watch(url, bearer(key.text))).refusal).toBeUndefined();
  });

  test('are bounded per client address if callers are not identified', async () => {
    const server = await startServer({ env: { INFERQL_MAX_SUBSCRIPTIONS: '1' } });
    await startWorker(server.prefix);
    const url = await open(server);
    const first = await watch(url, {});
    expect(first.refusal).toBeUndefined();
    expect((await watch(url, {})).refusal).toEqual(REFUSED);
    await first.leave();
    await expect.poll(async () => (await watch(url, {})).refusal).toBeUndefined();
  });
});

test('addresses that a trusted proxy reports are counted separately, whatever the transport', async () => {
  const env = { INFERQL_MAX_SUBSCRIPTIONS: '1', INFERQL_TRUST_PROXY: 'loopback' };
  const server = await startServer({ env });
  await startWorker(server.prefix);
  const url = await open(server);
  const from = async (address: string) => (await transports.sse!(url, { 'x-forwarded-for': address })).refusal;
  expect(await from('203.0.113.1')).toBeUndefined();
  expect(await from('203.0.113.1')).toEqual(REFUSED);
  expect(await from('203.0.113.2')).toBeUndefined();
  // The WebSocket is this machine's.
  expect((await transports.webSocket!(url, {})).refusal).toBeUndefined();
  expect(await from('127.0.0.1')).toEqual(REFUSED);
});

test('a subscription that ends, or could not be opened, frees its place', async () => {
  const server = await startServer({ env: { INFERQL_MAX_SUBSCRIPTIONS: '1' } });
  await startWorker(server.prefix);
  const url = await open(server);
  const follow = async (id: string) => {
    const events = subscribeSse<{ prediction: { status: string } }>(url, {
      query: 'subscription ($id: ID!) { prediction(id: $id) { status } }',
      variables: { id },
    });
    let last: unknown;
    for await (const { data, errors } of events) last = errors?.[0]?.extensions?.code ?? data?.prediction.status;
    return last;
  };
  const { data } = await server.upload<Classified>(CLASSIFY, [await paint(1)]);
  for (let i = 0; i < 3; i++) {
    expect(await follow(data.classifyImage!.id)).toBe('SUCCEEDED');
    expect(await follow('tiny.AAAAAAAAAAAAAAAAAAAAAA')).toBe('NOT_FOUND');
  }
});

describe('mutations that wait', () => {
  async function expectOneAtOnce(server: Server, one: Record<string, string>, other: Record<string, string>) {
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const url = await open(server);
    const image = await paint(1);
    const upload = async (headers: Record<string, string>) => {
      const response = await fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [image], {}, headers));
      const { data, errors } = (await response.json()) as {
        data: Classified | null;
        errors?: { extensions: { code: string } }[];
      };
      return [response.status, errors?.[0]?.extensions.code ?? data!.classifyImage!.status];
    };
    const waiting = upload(one);
    while (worker.countRuns() === 0) await server.components.isReady();
    expect(await upload(one)).toEqual([429, 'RATE_LIMITED']);
    const others = upload(other);
    while (worker.countRuns() === 0) await server.components.isReady();
    worker.settling.open();
    expect(await Promise.all([waiting, others])).toEqual([
      [200, 'SUCCEEDED'],
      [200, 'SUCCEEDED'],
    ]);
    expect(await upload(one)).toEqual([200, 'SUCCEEDED']);
  }

  test('are bounded per tenant', async () => {
    const { server, makeKey } = await startGuardedServer({ env: { INFERQL_MAX_WAITING: '1' } });
    await expectOneAtOnce(server, (await makeKey()).headers, (await makeKey({ tenant: 'bob' })).headers);
  });

  test('are bounded per client address if callers are not identified', async () => {
    const server = await startServer({ env: { INFERQL_MAX_WAITING: '1', INFERQL_TRUST_PROXY: 'loopback' } });
    await expectOneAtOnce(server, { 'x-forwarded-for': '203.0.113.1' }, { 'x-forwarded-for': '203.0.113.2' });
  });
});

test('an upload over its limit is refused on an event stream as in JSON', async () => {
  const { server, makeKey } = await startGuardedServer({ env: { INFERQL_TENANT_LIMITS: '1images/h' } });
  await startWorker(server.prefix);
  const url = await open(server);
  const { headers } = await makeKey();
  const image = await paint(1);
  const upload = async (accept: string) => {
    const response = await fetch(`${url}/graphql`, uploadRequest(ENQUEUE, [image], {}, { ...headers, accept }));
    const body = await response.text();
    const json = body.startsWith('{') ? body : /^data: (\{.*)$/m.exec(body)![1]!;
    return (JSON.parse(json) as { errors?: { extensions: Record<string, unknown> }[] }).errors?.[0]?.extensions;
  };
  expect(await upload('text/event-stream')).toBeUndefined();
  const [json, stream] = [await upload('application/json'), await upload('text/event-stream')];
  for (const extensions of [json, stream]) {
    expect(extensions).toEqual({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    expect(extensions!.retryAfterMs).toBeGreaterThan(3_000_000);
  }
});
