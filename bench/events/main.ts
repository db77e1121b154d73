/** The subscribers: a separate process that holds thousands of subscriptions open and records when each one's end arrives. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { serveRpc } from '../child-rpc.ts';
import { machineClockMs, type SubscriberRequest, type SubscriberResponse } from './plan.ts';

const SUBSCRIPTION =
  'subscription Watch($id: ID!) { prediction(id: $id) { id status result { labels(topK: 5) { name score } } } }';
const OPENED_AT_ONCE = 50;

const closers: (() => void)[] = [];
const arrivedAtMs: Record<string, number> = {};
let arrived = 0;
let onArrival: (() => void) | undefined;

function noteEnd(id: string): void {
  if (arrivedAtMs[id] !== undefined) return;
  arrivedAtMs[id] = machineClockMs();
  arrived++;
  onArrival?.();
}

/** Resolves with the first state. The bytes are only searched, not parsed, to keep the load low. */
async function openSse(url: URL, id: string): Promise<void> {
  const socket: Socket = connect(Number(url.port), url.hostname);
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  const parameters = new URLSearchParams({ query: SUBSCRIPTION, variables: JSON.stringify({ id }) });
  socket.write(`GET ${url.pathname}?${parameters} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\n\r\n`);
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1');
      if (text.includes('"SUCCEEDED"')) noteEnd(id);
      if (text.includes('"status"')) resolve();
      else if (text.includes('"errors"')) reject(new Error(text));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closed the connection')));
  });
}

async function openWebSocket(url: URL, ids: string[]): Promise<void> {
  const socket = new WebSocket(`ws://${url.host}${url.pathname}`, 'graphql-transport-ws');
  closers.push(() => socket.terminate());
  await once(socket, 'open');
  let first = 0;
  await new Promise<void>((resolve, reject) => {
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { type: string; id?: string; payload?: unknown };
      if (message.type === 'connection_ack') {
        for (const id of ids) {
          const payload = { query: SUBSCRIPTION, variables: { id } };
          socket.send(JSON.stringify({ type: 'subscribe', id, payload }));
        }
      } else if (message.type === 'next') {
        if (data.includes('"SUCCEEDED"')) noteEnd(message.id!);
        else if (++first === ids.length) resolve();
      } else if (message.type === 'error') reject(new Error(JSON.stringify(message.payload)));
    });
    socket.once('error', reject);
    socket.once('close', (code) => reject(new Error(`the server closed the WebSocket: ${code}`)));
    socket.send(JSON.stringify({ type: 'connection_init' }));
  });
}

serveRpc<SubscriberRequest, SubscriberResponse>(async (request) => {
  switch (request.type) {
    case 'open': {
      const url = new URL(request.url);
      const groups: string[][] = [];
      const size = request.transport === 'ws' ? request.perSocket : 1;
      for (let at = 0; at < request.ids.length; at += size) groups.push(request.ids.slice(at, at + size));
      const openNext = async () => {
        for (let group = groups.shift(); group; group = groups.shift()) {
          if (request.transport === 'ws') await openWebSocket(url, group);
          else await openSse(url, group[0]!);
        }
      };
      await Promise.all(Array.from({ length: OPENED_AT_ONCE }, openNext));
      return { arrivedAtMs: {} };
    }
    case 'await':
      await new Promise<void>((resolve) => {
        onArrival = () => arrived >= request.count && resolve();
        onArrival();
      });
      return { arrivedAtMs: { ...arrivedAtMs } };
    case 'close':
      for (const close of closers.splice(0)) close();
      for (const id of Object.keys(arrivedAtMs)) delete arrivedAtMs[id];
      arrived = 0;
      return { arrivedAtMs: {} };
    default:
      return request satisfies never;
  }
});
