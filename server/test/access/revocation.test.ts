/** What a caller holds open ends with its key. */
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { accessKeys } from '@inferql/queue/redis/keys';
import { subscribeSse } from '@inferql/testing/system/graphql-client';
import { createClient } from 'graphql-ws';
import { describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { bearer, startGuardedServer } from '../callers.ts';
import { open } from '../http-harness.ts';
import { atEnd, ENQUEUE, paint, type Server, startWorker } from '../server-harness.ts';
import type { StreamedAnswer } from '../subscriptions.ts';

const WATCH = 'subscription ($id: ID!) { prediction(id: $id) { id status } }';
const CLIENTS = 20;

async function enqueueAs(server: Server, headers: Record<string, string>, red: number): Promise<string> {
  const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(red)], {}, headers);
  return data.classifyImage.id;
}

/** Subscribes over server-sent events; `first` resolves with the first state, `rest` at the end. */
function followSse(url: string, key: string, id: string) {
  const leaving = new AbortController();
  atEnd(() => leaving.abort());
  const events = subscribeSse<object>(url, { query: WATCH, variables: { id } }, leaving.signal, bearer(key));
  const first = events.next();
  const rest = first.then(async () => {
    const all: object[] = [];
    for await (const event of events) all.push(event);
    return all;
  });
  return { first, rest };
}

/** A WebSocket with this many subscriptions; `started` resolves when each has its first state. */
function followOverSocket(url: string, key: string, id: string, count: number) {
  let closeCode: number | undefined;
  let connections = 0;
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 3,
    on: {
      closed: (event) => {
        closeCode = (event as { code: number }).code;
      },
      connected: () => {
        connections++;
      },
    },
  });
  atEnd(() => client.dispose());
  const streams = Array.from({ length: count }, () => client.iterate({ query: WATCH, variables: { id } }));
  const started = Promise.all(streams.map((stream) => stream.next()));
  const ended = started.then(() =>
    Promise.all(
      streams.map(async (stream) => {
        try {
          for await (const event of stream)
            if ((event as StreamedAnswer).errors) return (event as StreamedAnswer).errors![0]!.extensions!.code;
          return 'complete';
        } catch (error) {
          return (error as { code: number }).code;
        }
      }),
    ),
  );
  return { started, ended, closeCode: () => closeCode, connections: () => connections };
}

describe('a revoked key', () => {
  test('ends its 1,000 subscriptions on two servers at once, and nobody else’s', async () => {
    const { server: one, makeKey, store } = await startGuardedServer();
    const { server: two } = await startGuardedServer({ prefix: one.prefix });
    const worker = await startWorker(one.prefix);
    worker.claiming.close();
    const [urlOne, urlTwo] = [await open(one), await open(two)];
    const [revoked, kept] = [await makeKey(), await makeKey()];
    const id = await enqueueAs(one, revoked.headers, 7);
    const events = Array.from({ length: 500 }, () => followSse(urlOne, revoked.text, id));
    const sockets = Array.from({ length: 10 }, () => followOverSocket(urlTwo, revoked.text, id, 50));
    const others = [followSse(urlOne, kept.text, id), followSse(urlTwo, kept.text, id)];
    await Promise.all([...events.map(({ first }) => first), ...sockets.map(({ started }) => started)]);
    await Promise.all(others.map(({ first }) => first));
    expect([one, two].map(({ components }) => components.access.sessions.count())).toEqual([501, 511]);

    await store.revoke(revoked.id);
    for (const { rest } of events) {
      expect(await rest).toEqual([{ errors: [expect.objectContaining({ extensions: { code: 'UNAUTHENTICATED' } })] }]);
    }
    for (const { ended, closeCode, connections } of sockets) {
      for (const how of await ended) expect([4401, 'UNAUTHENTICATED']).toContain(how);
      expect(closeCode()).toBe(4401);
      // The client did not retry.
      expect(connections()).toBe(1);
    }
    // A server learns of a close after its client.
    await expect.poll(() => [one, two].map(({ components }) => components.access.sessions.count())).toEqual([1, 1]);
    expect((await one.query('{ viewer { tenant } }', {}, revoked.headers)).status).toBe(401);
    expect((await two.query('{ viewer { tenant } }', {}, revoked.headers)).status).toBe(401);

    worker.claiming.open();
    for (const { rest } of others) expect(JSON.stringify((await rest).at(-1))).toContain('SUCCEEDED');
  });

  test('ends what it holds open even if the message was lost', async () => {
    const { server, makeKey } = await startGuardedServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    const url = await open(server);
    const key = await makeKey();
    const { first, rest } = followSse(url, key.text, await enqueueAs(server, key.headers, 7));
    await first;
    await server.redis.hset(`${accessKeys(server.prefix).record}${key.id}`, 'revokedAtMs', Date.now());
    server.subscriber.disconnect(true);
    expect(JSON.stringify(await rest)).toContain('was revoked');
  });

  test('cannot open a WebSocket, nor continue with one; its client does not retry', async () => {
    const { server, makeKey, store } = await startGuardedServer();
    const url = (await open(server)).replace('http', 'ws');
    const key = await makeKey();
    for (const params of [undefined, {}, { authorization: 7 }, { authorization: 'Bearer iql_live_x' }]) {
      const socket = new WebSocket(`${url}/graphql`, 'graphql-transport-ws');
      await once(socket, 'open');
      socket.send(JSON.stringify({ type: 'connection_init', ...(params ? { payload: params } : {}) }));
      expect((await once(socket, 'close'))[0]).toBe(4401);
    }
    const idle = new WebSocket(`${url}/graphql`, 'graphql-transport-ws');
    await once(idle, 'open');
    idle.send(JSON.stringify({ type: 'connection_init', payload: key.headers }));
    await once(idle, 'message');
    const closed = once(idle, 'close');
    await store.revoke(key.id);
    expect((await closed)[0]).toBe(4401);
  });
});

test('an operation that comes before the connection was accepted is refused', async () => {
  const { server } = await startGuardedServer();
  const socket = new WebSocket(`${(await open(server)).replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: '{ viewer { tenant } }' } }));
  expect((await once(socket, 'close'))[0]).toBe(4401);
});

test('a key that expires ends its subscriptions', async () => {
  const { server, makeKey } = await startGuardedServer();
  const worker = await startWorker(server.prefix);
  worker.claiming.close();
  const url = await open(server);
  const lasting = await makeKey();
  const id = await enqueueAs(server, lasting.headers, 7);
  const key = await makeKey({ expiresAtMs: Date.now() + 4_000 });
  const { first, rest } = followSse(url, key.text, id);
  await first;
  const socket = followOverSocket(url, key.text, id, 2);
  await socket.started;
  expect(JSON.stringify(await rest)).toContain('has expired');
  for (const how of await socket.ended) expect([4401, 'UNAUTHENTICATED']).toContain(how);
});

test('keys are rotated under load without a failed request', async () => {
  const { server, makeKey, store } = await startGuardedServer();
  const old = await makeKey();
  let current = old.text;
  let rotated = false;
  const statuses: number[] = [];
  const clients = Array.from({ length: CLIENTS }, async () => {
    const ownKey = current;
    for (let sent = 0; sent < 20 || !rotated; sent++) {
      // Half of the clients switch to the new key late.
      const key = sent % 2 === 0 ? ownKey : current;
      // Requests without a socket leave the event loop no time for Redis' replies.
      await nextTurn();
      statuses.push((await server.query('{ viewer { tenant } }', {}, bearer(key))).status);
    }
  });
  current = (await store.rotate(old.id, 60_000)).text;
  rotated = true;
  await Promise.all(clients);
  expect(new Set(statuses)).toEqual(new Set([200]));
  await store.revoke(old.id);
  expect((await server.query('{ viewer { tenant } }', {}, bearer(current))).status).toBe(200);
});
