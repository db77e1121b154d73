/** WebSockets whose client neither reads nor answers pings, or only seems to. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { buildSchema } from 'graphql';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import WebSocket, { type ClientOptions, WebSocketServer } from 'ws';
import { atEnd } from '../../test/server-harness.ts';
import { MAX_SILENT_LOOKS, type SocketExtra, serveWebSockets } from './web-socket-connection.ts';

const PING_EVERY_MS = 100;
const EVENT = 'x'.repeat(200_000);
const FLOOD = '{"id":"1","type":"subscribe","payload":{"query":"subscription { flood }"}}';

const schema = buildSchema('type Query { a: Int } type Subscription { flood: String! }');
schema.getSubscriptionType()!.getFields().flood!.subscribe = async function* () {
  for (;;) yield { flood: EVENT };
};

/** A server that pings often; a connection that was accepted; and what is logged. */
async function connect(options: ClientOptions = {}) {
  const logged: { msg: string; unsentBytes: number }[] = [];
  const log = pino({ base: null }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  atEnd(() => void sockets.close());
  serveWebSockets<Record<string, unknown>, SocketExtra & Partial<Record<PropertyKey, never>>>(
    { schema, onNext: ({ extra }) => extra.limits.awaitRoom() },
    sockets,
    log,
    { pingEveryMs: PING_EVERY_MS },
  );
  await once(sockets, 'listening');
  const accepted = once(sockets, 'connection') as Promise<[WebSocket]>;
  const { port } = sockets.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}`, 'graphql-transport-ws', options);
  atEnd(() => client.terminate());
  await once(client, 'open');
  const [socket] = await accepted;
  client.send('{"type":"connection_init"}');
  await once(client, 'message');
  return { client, socket, logged };
}

test.each([
  ['while events flow', true],
  ['while nothing is sent', false],
])('a client that reads nothing %s is disconnected, and the log says so', async (_when, isFlooded) => {
  const { client, socket, logged } = await connect();
  client.pause();
  if (isFlooded) client.send(FLOOD);
  await once(socket, 'close');
  expect(logged).toMatchObject([{ msg: 'client does not read its WebSocket; connection closed' }]);
  expect(logged[0]!.unsentBytes > 0).toBe(isFlooded);
});

/** Resolves at the client's next ping. @throws if it is disconnected instead */
async function pinged(client: WebSocket): Promise<void> {
  const closed = once(client, 'close').then(() => Promise.reject(new Error('disconnected')));
  await Promise.race([once(client, 'ping'), closed]);
}

describe('a client is kept', () => {
  test('while it sends a long message, behind which its pong waits', async () => {
    const { client, logged } = await connect({ autoPong: false });
    client.send('{"type":"ping","payload":{"text":"', { fin: false });
    await pinged(client);
    // This test is about time: the message takes longer than a silent client has.
    for (let pieces = 0; pieces < 5 * MAX_SILENT_LOOKS; pieces++) {
      client.send('x', { fin: false });
      await wait(PING_EVERY_MS / 2);
    }
    client.send('"}}', { fin: true });
    client.pong();
    await pinged(client);
    expect(logged).toEqual([]);
  });

  test('if it reads with pauses that are shorter than a silent client has', async () => {
    const { client, logged } = await connect({ autoPong: false });
    client.send(FLOOD);
    // This test is about time, too. Between its pauses, the client reads more than the system's buffers hold.
    for (let pauses = 0; pauses < 4; pauses++) {
      for (let events = 0; events < 50; events++) await once(client, 'message');
      client.pause();
      await wait((MAX_SILENT_LOOKS - 2) * PING_EVERY_MS);
      client.resume();
    }
    client.pong();
    await pinged(client);
    expect(logged).toEqual([]);
  });

  test('if it reads at once, whatever it gets', async () => {
    const { client, logged } = await connect();
    client.send(FLOOD);
    for (let pings = 0; pings < 6; pings++) await pinged(client);
    expect(logged).toEqual([]);
  });
});
