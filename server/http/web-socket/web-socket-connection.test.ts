/** WebSockets whose client neither reads nor answers pings. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buildSchema } from 'graphql';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { atEnd } from '../../test/server-harness.ts';
import { type SocketExtra, serveWebSockets } from './web-socket-connection.ts';

const PING_EVERY_MS = 100;
const EVENT = 'x'.repeat(200_000);

const schema = buildSchema('type Query { a: Int } type Subscription { flood: String! }');
schema.getSubscriptionType()!.getFields().flood!.subscribe = async function* () {
  for (;;) yield { flood: EVENT };
};

/** A server that pings often; a connection that was accepted; and what is logged. */
async function connect() {
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
  const client = new WebSocket(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`, 'graphql-transport-ws');
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
  if (isFlooded) client.send('{"id":"1","type":"subscribe","payload":{"query":"subscription { flood }"}}');
  await once(socket, 'close');
  expect(logged).toMatchObject([{ msg: 'client does not read its WebSocket; connection closed' }]);
  expect(logged[0]!.unsentBytes > 0).toBe(isFlooded);
});

test('a client that reads is kept, whatever it gets', async () => {
  const { client, socket, logged } = await connect();
  client.send('{"id":"1","type":"subscribe","payload":{"query":"subscription { flood }"}}');
  for (let pings = 0; pings < 6; pings++) await once(client, 'ping');
  expect(socket.readyState).toBe(WebSocket.OPEN);
  expect(logged).toEqual([]);
});
