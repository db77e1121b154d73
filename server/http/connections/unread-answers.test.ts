/** Clients that ask for a lot and read nothing, over real ports. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { atEnd } from '../../test/server-harness.ts';
import { closeUnreadAnswers, MAX_STUCK_LOOKS } from './unread-answers.ts';

const LOOK_EVERY_MS = 50;
/** More than the system's buffers of a connection hold. */
const LARGE = Buffer.alloc(30_000_000, 'x');

/** A server with a short watch; what it logs; and a connection that has sent a request and reads nothing yet. */
async function ask(listener: RequestListener) {
  const logged: { msg: string; unsentBytes?: number }[] = [];
  const server = createServer(listener);
  const log = pino({ base: null }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  closeUnreadAnswers(server, log, { lookEveryMs: LOOK_EVERY_MS });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  socket.on('error', () => undefined);
  atEnd(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const connected = once(server, 'connection');
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [accepted] = (await connected) as [Socket];
  return { socket, accepted, logged };
}

describe('a client that reads nothing', () => {
  test.each<[string, RequestListener]>([
    ['an answer in one piece', (_request, response) => response.end(LARGE)],
    [
      'events, which flow as fast as they are taken',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const event = `data: ${'x'.repeat(100_000)}\n\n`;
        const fill = () => {
          while (response.write(event));
        };
        response.on('drain', fill);
        fill();
      },
    ],
    [
      'parts, of which it took the first ones',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'multipart/mixed; boundary="-"' });
        response.write('---\r\n\r\n{}\r\n---', () => response.write(LARGE));
      },
    ],
  ])('of %s is disconnected, and the log says so', async (_what, listener) => {
    const { accepted, logged } = await ask(listener);
    if (!accepted.destroyed) await once(accepted, 'close');
    expect(logged.map(({ msg }) => msg)).toEqual(['client does not read its response; connection closed']);
    expect(logged[0]!.unsentBytes).toBeGreaterThan(0);
  });
});

test('a client that reads slowly, or has nothing to read for long, stays connected', async () => {
  const { socket, accepted, logged } = await ask((_request, response) => response.end(LARGE));
  let bytes = 0;
  let pauses = 0;
  let lastPause = 0;
  while (bytes < LARGE.length) {
    const chunk = socket.read() as Buffer | null;
    bytes += chunk?.length ?? 0;
    if (bytes - lastPause > LARGE.length / 30) {
      lastPause = bytes;
      pauses++;
      // This test is about time: all pauses together are longer than a client may pause once.
      await wait(2 * LOOK_EVERY_MS);
    } else if (!chunk) {
      await once(socket, 'readable');
    }
  }
  expect(pauses).toBeGreaterThan(2 * MAX_STUCK_LOOKS);
  await wait(2 * MAX_STUCK_LOOKS * LOOK_EVERY_MS);
  expect(accepted.destroyed).toBe(false);
  expect(logged).toEqual([]);
});
