import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Program } from '@inferql/testing/packages/installed-packages';
import { collect, openSocket, send, subscribeSse } from '@inferql/testing/system/graphql-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CLASSIFY,
  type Classified,
  ENQUEUE,
  isOneEnd,
  paint,
  setUpPrograms,
  upload,
  type Watched,
  watch,
} from './programs.fixture.ts';

const programs = setUpPrograms();

const asAlice = { 'x-tenant': 'alice' };

let subgraph: Program;
let relay: Relay;

interface Relay {
  url: string;
  /** How many of its connections have become WebSockets. */
  upgrades(): number;
  close(): void;
}

/** Passes connections on, and looks at what they are used for. */
async function startRelay(target: string): Promise<Relay> {
  const { hostname, port, pathname } = new URL(target);
  const open = new Set<Socket>();
  let upgrades = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.on('data', (chunk) => {
      if (/^upgrade: websocket\r$/im.test(chunk.toString('latin1'))) upgrades++;
    });
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    upgrades: () => upgrades,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

beforeAll(async () => {
  if (!programs.isInstalled()) return;
  subgraph = await programs.startHost('subgraph.mjs', { redisUrl: programs.redis.url });
  relay = await startRelay(`${subgraph.found}/api/graphql`);
});

afterAll(async () => {
  relay?.close();
  if (programs.isInstalled()) expect(await subgraph.stop()).toBe(0);
});

describe.each(['sse', 'ws'])('a federated gateway that subscribes over %s', (subscriptions) => {
  let gateway: Program;
  let api = '';

  beforeAll(async () => {
    if (!programs.isInstalled()) return;
    gateway = await programs.startHost('gateway.mjs', { inferqlUrl: relay.url, subscriptions });
    api = `${gateway.found}/api`;
  });

  /** @returns its id, before it has ended */
  async function enqueue(gray: number): Promise<string> {
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(gray)), undefined, asAlice);
    return data!.classifyImage.id;
  }

  test('it passes uploads on, and one query joins predictions with another subgraph, for the same tenant only', async ({
    skip,
  }) => {
    programs.require(skip);
    const { data, errors } = await send<Classified>(api, upload(CLASSIFY, await paint(41)), undefined, asAlice);
    expect(errors).toBeUndefined();
    expect(data?.classifyImage.result?.labels).toEqual([{ name: 'gray 41' }]);
    const { id } = data!.classifyImage;
    const query = 'query ($ids: [ID!]!) { album(predictions: $ids) { title predictions { id status } } }';
    const ask = (headers: Record<string, string>) =>
      send<{ album: unknown }>(api, { query, variables: { ids: [id] } }, undefined, headers);
    expect((await ask(asAlice)).data).toEqual({
      album: { title: 'Holiday', predictions: [{ id, status: 'SUCCEEDED' }] },
    });
    expect(JSON.stringify(await ask({ 'x-tenant': 'bob' }))).not.toContain('SUCCEEDED');
  });

  test('a client subscribes over server-sent events, for its tenant only', async ({ skip }) => {
    programs.require(skip);
    const id = await enqueue(42);
    const states = await collect(subscribeSse<Watched>(api, watch(id), undefined, asAlice));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
    const foreign = await collect(subscribeSse<Watched>(api, watch(id), undefined, { 'x-tenant': 'bob' }));
    expect(foreign).toMatchObject([{ errors: [{ extensions: { code: 'NOT_FOUND' } }] }]);
  });

  test('a client subscribes over a WebSocket, for its tenant only', async ({ skip }) => {
    programs.require(skip);
    const id = await enqueue(43);
    for (const [tenant, check] of [
      ['alice', (states: unknown) => expect(states).toSatisfy(isOneEnd)],
      ['bob', (states: unknown) => expect(states).toEqual([undefined])],
    ] as const) {
      const socket = openSocket(api, { 'x-tenant': tenant });
      const results = await collect(socket.subscribe<Watched>(watch(id)));
      check(results.map(({ data }) => data?.prediction?.status));
      await socket.close();
    }
  });

  test('it subscribes at InferQL as it was asked to', async ({ skip }) => {
    programs.require(skip);
    // The first gateway uses none.
    expect(relay.upgrades() > 0).toBe(subscriptions === 'ws');
  });

  test('it ends', async ({ skip }) => {
    programs.require(skip);
    expect(await gateway.stop()).toBe(0);
  });
});
