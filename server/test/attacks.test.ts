/** What a caller with a valid key tries to get at another tenant's predictions, and others to get in without one; over a real port. */
import { request as httpRequest } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { openSocket, type Socket, send } from '@inferql/testing/system/graphql-client';
import { type GraphQLField, getNamedType } from 'graphql';
import { beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { schema } from '../schema/schema.ts';
import { bearer, startGuardedServer } from './callers.ts';
import { open } from './http-harness.ts';
import { uploadRequest } from './requests.ts';
import { atEnd, ENQUEUE, paint, startWorker } from './server-harness.ts';

const VIEWER = '{ viewer { tenant } }';
const CSRF = { 'content-type': 'application/json', accept: 'application/json', 'x-graphql-yoga-csrf': '1' };

let url: string;
let log: string;
let store: Awaited<ReturnType<typeof startGuardedServer>>['store'];
let alice: { text: string; id: string; headers: Record<string, string> };
let bob: typeof alice;
/** Alice's prediction, which waits. */
let id: string;

beforeEach(async () => {
  log = '';
  const guarded = await startGuardedServer({
    env: { INFERQL_SHARE: 'on', INFERQL_CACHE_TTL_MS: '60000' },
    onLog: (line) => {
      log += line;
    },
  });
  store = guarded.store;
  const worker = await startWorker(guarded.server.prefix);
  worker.claiming.close();
  alice = await guarded.makeKey();
  bob = await guarded.makeKey({ tenant: 'bob' });
  url = await open(guarded.server);
  id = (await enqueue(alice.headers, { key: 'order 7' })).id;
});

async function enqueue(headers: Record<string, string>, variables: object = {}) {
  const answer = await fetch(`${url}/graphql`, uploadRequest(ENQUEUE, [await paint(1)], variables, headers));
  const { data } = (await answer.json()) as { data: { classifyImage: { id: string; cached: boolean } } };
  return data.classifyImage;
}

async function post(body: unknown, headers: Record<string, string> = {}, path = '/graphql') {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...CSRF, ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, text: await answer.text() };
}

async function expectAlicesWaits(): Promise<void> {
  const query = 'query ($id: ID!) { prediction(id: $id) { status } }';
  const { data } = await send<{ prediction: object }>(url, { query, variables: { id } }, undefined, alice.headers);
  expect(data).toEqual({ prediction: { status: 'QUEUED' } });
}

describe('another tenant’s prediction', () => {
  const rootFields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.values(type!.getFields()).map((field) => [type!.name, field] as [string, GraphQLField<unknown, unknown>]),
  );

  test('is named by three arguments only, which the tests below try', () => {
    const named = rootFields.flatMap(([type, { name, args }]) =>
      args.filter((arg) => getNamedType(arg.type).name === 'ID').map((arg) => `${type}.${name}(${arg.name})`),
    );
    expect(named.sort()).toEqual([
      'Mutation.cancelPrediction(id)',
      'Query.prediction(id)',
      'Subscription.prediction(id)',
    ]);
  });

  test('is not found however its id is written, and the answer is that of an id that never was', async () => {
    const unknown = `tiny.${'A'.repeat(id.length - 'tiny.'.length)}`;
    const spell = (each: string): unknown[] => [
      each,
      ` ${each}`,
      `${each}\n`,
      `${each}\0`,
      each.toUpperCase(),
      encodeURIComponent(each),
      each.replace('.', '%2e'),
      each.replace('tiny', '{tiny}'),
      `tiny}:prediction:${each}`,
      `../${each}`,
      [each],
      { id: each },
    ];
    const answers = async (each: string) => {
      const found: { status: number; text: string }[] = [];
      for (const variable of spell(each)) {
        for (const field of ['query ($id: ID!) { prediction', 'mutation ($id: ID!) { cancelPrediction']) {
          found.push(
            await post({ query: `${field}(id: $id) { id status } }`, variables: { id: variable } }, bob.headers),
          );
        }
      }
      return found.map(({ status, text }) => `${status} ${text.replaceAll(each, 'ID')}`);
    };
    const foreign = await answers(id);
    expect(foreign).toEqual(await answers(unknown));
    expect(foreign.join()).not.toContain('QUEUED');
    await expectAlicesWaits();
  });

  test('is not found by many aliases, deferred fragments or literals', async () => {
    const aliases = Array.from({ length: 30 }, (_, i) => `p${i}: prediction(id: "${id}") { ...F }`).join(' ');
    const { text } = await post(
      { query: `query { ${aliases} } fragment F on Prediction { id ... @defer { status error { message } } }` },
      { ...bob.headers, accept: 'multipart/mixed' },
    );
    expect(text).not.toMatch(/QUEUED|"id"/);
    expect(text.match(/"p\d+":null/g)).toHaveLength(30);
  });

  test('is not watched over server-sent events or a WebSocket', async () => {
    const query = 'subscription ($id: ID!) { prediction(id: $id) { id } }';
    const events = await post({ query, variables: { id } }, { ...bob.headers, accept: 'text/event-stream' });
    expect(events.text).toContain('NOT_FOUND');
    expect(events.text).not.toContain(`"id":"${id}"`);
    const socket: Socket = openSocket(url, bob.headers);
    atEnd(() => socket.close());
    const { value } = await socket.subscribe<object>({ query, variables: { id } }).next();
    expect(JSON.stringify(value)).toContain('NOT_FOUND');
  });

  test('is not reached by its idempotency key, its id as a key, or the same image', async () => {
    for (const key of ['order 7', id, `alice order 7`, '["alice","order 7"]', undefined]) {
      const own = await enqueue(bob.headers, { key });
      expect([own.id === id, own.id.startsWith('tiny.')], key).toEqual([false, true]);
    }
    // Of all these, only repetitions of Bob's image were shared with Bob's.
    expect((await enqueue(bob.headers, { key: 'order 7' })).id).not.toBe(id);
    expect((await enqueue(alice.headers, { key: 'order 7' })).id).toBe(id);
    await expectAlicesWaits();
  });

  test('is not part of a batch of requests, which does nothing', async () => {
    const cancel = { query: 'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }', variables: { id } };
    const { status, text } = await post([cancel, { query: VIEWER }], alice.headers);
    expect(status).toBe(400);
    expect(text).not.toContain('CANCELED');
    await expectAlicesWaits();
  });
});

describe('without a key', () => {
  test('nothing but the header is a credential', async () => {
    const ask = { query: VIEWER };
    const given = encodeURIComponent(alice.text);
    const attempts = [
      await post(ask, {}, `/graphql?authorization=Bearer%20${given}`),
      await post(ask, {}, `/graphql?access_token=${given}&key=${given}`),
      await post(ask, { cookie: `authorization=Bearer ${alice.text}; key=${alice.text}` }),
      await post({ ...ask, extensions: alice.headers, variables: alice.headers, ...alice.headers }),
      await post(ask, { 'proxy-authorization': `Bearer ${alice.text}`, 'x-api-key': alice.text }),
      await post(ask, { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-user': 'alice', 'x-real-ip': '::1' }),
      await post(ask, { 'x-http-method-override': 'OPTIONS', 'x-original-url': '/health/live' }),
    ];
    for (const { status, text } of attempts) expect([status, text.includes('UNAUTHENTICATED')]).toEqual([401, true]);
  });

  test('no other spelling of the path leads to the API', async () => {
    for (const path of [
      '/graphql/',
      '//graphql',
      '/GRAPHQL',
      '/graphql%2f',
      '/graphql;a',
      '/x/../graphql',
      '/health/live/../../graphql',
    ]) {
      const { text } = await post({ query: VIEWER }, {}, path);
      expect(text, path).not.toContain('"tenant"');
    }
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['a list', { authorization: [`Bearer KEY`] }],
    ['an object', { authorization: { Bearer: 'KEY' } }],
    ['no scheme', { authorization: 'KEY' }],
    ['another field', { key: 'KEY', token: 'KEY', headers: { authorization: 'Bearer KEY' } }],
    ['a prototype', JSON.parse('{"__proto__": {"authorization": "Bearer KEY"}}')],
  ])('a WebSocket whose parameters hold %s is closed with 4401', async (_, params) => {
    const payload = JSON.parse(JSON.stringify(params ?? null).replaceAll('KEY', alice.text));
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql?key=${alice.text}`, 'graphql-transport-ws');
    atEnd(() => socket.terminate());
    const code = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.once('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: payload ?? undefined })));
    expect(await code).toBe(4401);
  });
});

test('of two credentials none is chosen by chance', async () => {
  const both = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const body = JSON.stringify({ query: VIEWER });
    const outgoing = httpRequest(
      `${url}/graphql`,
      { method: 'POST', headers: { ...CSRF, authorization: [`Bearer ${bob.text}`, `Bearer ${alice.text}`] as never } },
      async (answer) => {
        let text = '';
        for await (const chunk of answer) text += chunk;
        resolve({ status: answer.statusCode, text });
      },
    );
    outgoing.once('error', reject);
    outgoing.end(body);
  });
  // Node takes the first of several, whatever comes after it.
  expect([both.status, both.text.includes('"bob"')]).toEqual([200, true]);
  const joined = await post({ query: VIEWER }, { authorization: `Bearer ${bob.text}, Bearer ${alice.text}` });
  expect(joined.status).toBe(401);
});

test('headers that name a tenant or a client change nothing for a caller with a key', async () => {
  const names = { 'x-inferql-tenant': 'alice', 'x-tenant-id': 'alice', 'x-inferql-client': 'alice' };
  expect((await post({ query: VIEWER }, { ...bob.headers, ...names })).text).toContain('"tenant":"bob"');
  const first = await enqueue({ ...bob.headers, 'x-inferql-client': 'one' }, { key: 'k' });
  expect((await enqueue({ ...bob.headers, 'x-inferql-client': 'two' }, { key: 'k' })).id).toBe(first.id);
});

test('requests on one connection keep their callers', async () => {
  const { hostname, port } = new URL(url);
  const body = JSON.stringify({ query: VIEWER });
  const request = (more: string) =>
    `POST /graphql HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\naccept: application/json\r\n${more}content-length: ${body.length}\r\n\r\n${body}`;
  const socket = connectSocket(Number(port), hostname);
  atEnd(() => {
    socket.destroy();
  });
  socket.write(
    request(`authorization: Bearer ${alice.text}\r\n`) +
      request('') +
      request(`authorization: Bearer ${bob.text}\r\nconnection: close\r\n`),
  );
  let text = '';
  for await (const chunk of socket) text += chunk;
  expect([...text.matchAll(/"tenant":"(\w+)"|"code":"(\w+)"/g)].map(([, tenant, code]) => tenant ?? code)).toEqual([
    'alice',
    'UNAUTHENTICATED',
    'bob',
  ]);
});

test('a WebSocket that is idle when its key is revoked is closed, and one that opens meanwhile does not stay', async () => {
  const openWith = (key: string) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    atEnd(() => socket.terminate());
    socket.once('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: bearer(key) })));
    const acknowledged = new Promise<void>((resolve) => socket.once('message', () => resolve()));
    return { acknowledged, code: new Promise<number>((resolve) => socket.once('close', resolve)) };
  };
  const idle = openWith(alice.text);
  await idle.acknowledged;
  const racing = Array.from({ length: 20 }, () => openWith(alice.text));
  await store.revoke(alice.id);
  for (const { code } of [idle, ...racing, openWith(alice.text)]) expect(await code).toBe(4401);
});

test('no credential is logged, wherever it was sent', async () => {
  const wrong = `${alice.text.slice(0, -1)}${alice.text.endsWith('a') ? 'b' : 'a'}`;
  for (const key of [alice.text, wrong]) {
    await post({ query: VIEWER }, bearer(key));
    await post({ query: VIEWER, variables: { key } }, bearer(key), `/graphql?key=${key}`);
    await post({ query: `{ prediction(id: "${key}") { ${key} } }`, operationName: key }, bearer(key));
    await post({ query: `{ ${key} `, extensions: { key } }, bearer(key), `/nowhere/${key}`);
    await fetch(`${url}/graphql?query=${key}&authorization=${key}`, { headers: { cookie: key, ...bearer(key) } });
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql?key=${key}`, 'graphql-transport-ws');
    atEnd(() => socket.terminate());
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.once('open', () => {
      socket.send(JSON.stringify({ type: 'connection_init', payload: bearer(key) }));
      socket.send(JSON.stringify({ type: key }));
    });
    await closed;
  }
  await store.revoke(alice.id);
  await expect.poll(async () => (await post({ query: VIEWER }, alice.headers)).status).toBe(401);
  expect(log.includes('The API key was revoked.')).toBe(true);
  const secretOf = (key: string) => key.split('_').at(-1)!.slice(0, 20);
  for (const key of [alice.text, wrong, bob.text]) expect(log.includes(secretOf(key))).toBe(false);
});
