/** WebSockets whose client sends without end, or reads nothing. */
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { measureKeptBytes } from '@inferql/testing/processes/used-memory';
import { getIntrospectionQuery } from 'graphql';
import { describe, expect, test, vi } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { atEnd, startServer, startWorker } from '../../test/server-harness.ts';
import { MAX_MESSAGES_AT_ONCE, SocketLimits } from './web-socket-limits.ts';

interface Message {
  type: string;
  id?: string;
  payload?: unknown;
}

/** A WebSocket that was accepted, and the messages it received. */
async function openSocket(url: string) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  atEnd(() => socket.terminate());
  const messages: Message[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init' }));
  await once(socket, 'message');
  messages.length = 0;
  const hasReceived = async (type: string, count: number) => {
    while (messages.filter((message) => message.type === type).length < count) await once(socket, 'message');
  };
  return { socket, messages, hasReceived };
}

/** Resolves once others' requests were answered several times and `read` no longer changes. */
async function settled(url: string, read: () => number): Promise<number> {
  for (let before = -1; ; before = read()) {
    for (let i = 0; i < 20; i++) expect((await fetch(`${url}/health/live`)).status).toBe(200);
    if (before === read()) return before;
  }
}

describe('a client that reads nothing', () => {
  test('and sends pings with payloads is no longer read, and gets every pong once it reads', async () => {
    const count = 200;
    const server = await startServer();
    const url = await server.listener.listen();
    const { socket, hasReceived } = await openSocket(url);
    socket.pause();
    const message = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(200_000) } });
    for (let i = 0; i < count; i++) socket.send(message);
    const unsentBytes = await settled(url, () => socket.bufferedAmount);
    // The system's buffers take some MB in both directions.
    expect(unsentBytes).toBeGreaterThan(0.5 * count * message.length);
    socket.resume();
    await hasReceived('pong', count);
  });

  test('and asks for a lot gets it once it reads; until then little of it is in memory', async () => {
    const count = 400;
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await server.listener.listen();
    const { socket, messages, hasReceived } = await openSocket(url);
    const ask = (id: number) =>
      socket.send(JSON.stringify({ id: `${id}`, type: 'subscribe', payload: { query: getIntrospectionQuery() } }));
    ask(0);
    await hasReceived('complete', 1);
    const answerBytes = JSON.stringify(messages[0]).length;
    socket.pause();
    const keptBytes = measureKeptBytes();
    for (let id = 1; id <= count; id++) ask(id);
    await settled(url, () => socket.bufferedAmount);
    await expect.poll(keptBytes).toBeLessThan(0.5 * count * answerBytes);
    socket.resume();
    await hasReceived('complete', count + 1);
    expect(messages.filter(({ type }) => type === 'error')).toEqual([]);
  });
});

test('many subscriptions in one burst are all opened', async () => {
  const count = 10 * MAX_MESSAGES_AT_ONCE;
  const server = await startServer();
  await startWorker(server.prefix);
  const { socket, messages } = await openSocket(await server.listener.listen());
  const payload = { query: 'subscription { queue { waiting } }' };
  for (let id = 0; id < count; id++) socket.send(JSON.stringify({ id: `${id}`, type: 'subscribe', payload }));
  while (new Set(messages.map(({ id }) => id)).size < count) await once(socket, 'message');
  expect(messages.every(({ type }) => type === 'next')).toBe(true);
});

test.each(['x', '{"type":"next","id":"1","payload":{}}', '{"type":"connection_ack"}'])(
  'what follows a mistake (%s) is not handled, and neither the log nor the console has an error',
  async (mistake) => {
    const levels: number[] = [];
    const server = await startServer({ onLog: (line) => void levels.push(JSON.parse(line).level) });
    const printed = [vi.spyOn(console, 'error'), vi.spyOn(console, 'warn')];
    atEnd(() => void vi.restoreAllMocks());
    await startWorker(server.prefix);
    const { socket, messages } = await openSocket(await server.listener.listen());
    socket.send(mistake);
    for (let i = 0; i < 100; i++) {
      socket.send(JSON.stringify({ id: `${i}`, type: 'subscribe', payload: { query: '{ models { name } }' } }));
    }
    expect((await once(socket, 'close'))[0]).toBe(4400);
    expect(messages).toEqual([]);
    expect(levels.filter((level) => level > 30)).toEqual([]);
    for (const print of printed) expect(print).not.toHaveBeenCalled();
  },
);

test('few messages are handled at the same time, in order, and an open subscription leaves its place', async () => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  atEnd(() => void sockets.close());
  await once(sockets, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`);
  atEnd(() => client.terminate());
  const [[socket]] = (await Promise.all([once(sockets, 'connection'), once(client, 'open')])) as [[WebSocket], unknown];
  const begun: string[] = [];
  const endings: (() => void)[] = [];
  const releases: (() => void)[] = [];
  const limits: SocketLimits = new SocketLimits(socket, (text) => {
    begun.push(text);
    releases.push(limits.takeRelease());
    return new Promise((resolve) => endings.push(resolve));
  });
  const sent = Array.from({ length: MAX_MESSAGES_AT_ONCE + 3 }, (_, i) => `${i}`);
  for (const text of sent) limits.receive(Buffer.from(text));
  // On a busy machine the rest of a burst follows in the next turn of the event loop.
  await expect.poll(() => begun).toEqual(sent.slice(0, MAX_MESSAGES_AT_ONCE));
  expect([limits.isWaiting, socket.isPaused]).toEqual([true, true]);
  releases[0]!();
  await expect.poll(() => begun).toEqual(sent.slice(0, MAX_MESSAGES_AT_ONCE + 1));
  // The one that left its place ends: no second place is free.
  endings[0]!();
  await nextTurn();
  await nextTurn();
  expect(begun).toEqual(sent.slice(0, MAX_MESSAGES_AT_ONCE + 1));
  endings[1]!();
  endings[2]!();
  await expect.poll(() => begun).toEqual(sent);
  expect([limits.isWaiting, socket.isPaused]).toEqual([false, false]);
});

test('frames without end do not keep others from being answered', async () => {
  const server = await startServer();
  const url = await server.listener.listen();
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  atEnd(() => void socket.destroy());
  socket.on('error', () => undefined);
  socket.write(
    'GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n',
  );
  await once(socket, 'data');
  // Each an empty text message: no JSON.
  socket.write(Buffer.from('818000000000'.repeat(200_000), 'hex'));
  const startedAt = performance.now();
  expect((await fetch(`${url}/health/live`)).status).toBe(200);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
