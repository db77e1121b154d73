import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { atEnd } from '../../test/server-harness.ts';
import { BodyWatch } from './slow-bodies.ts';

const LIMITS = { silenceMs: 400, windowMs: 600, minBytesPerSecond: 1_000, lookEveryMs: 20 };

/** A server that reads the body, or leaves it unread, and answers with its length. */
async function startReader(read: (request: IncomingMessage) => Promise<number>): Promise<Socket & { text: string }> {
  const bodies = new BodyWatch(LIMITS);
  const server = createServer({ requestTimeout: 0 }, async (request: IncomingMessage, response: ServerResponse) => {
    bodies.watch(request, response);
    const bytes = await read(request).catch(() => -1);
    if (!response.writableEnded) response.end(`${bytes} bytes\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const socket = Object.assign(connect((server.address() as { port: number }).port, '127.0.0.1').setEncoding('utf8'), {
    text: '',
  });
  socket.on('data', (chunk: string) => {
    socket.text += chunk;
  });
  socket.on('error', () => undefined);
  atEnd(() => void socket.destroy());
  return socket;
}

async function readAll(request: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of request) bytes += (chunk as Buffer).length;
  return bytes;
}

const head = (length: number) => `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`;

async function answered(socket: Socket & { text: string }): Promise<string> {
  while (!socket.text.includes('\n', socket.text.indexOf('\r\n\r\n') + 4)) await once(socket, 'data');
  return socket.text;
}

describe('a body', () => {
  // These tests are about time: the connections are slow on purpose, and no wait replaces an event.
  test('that comes slowly but steadily is read to its end, longer than the limit on silence', async () => {
    const socket = await startReader(readAll);
    socket.write(head(40 * 200));
    for (let i = 0; i < 40; i++) {
      socket.write('x'.repeat(200));
      await wait(50);
    }
    expect(await answered(socket)).toContain('8000 bytes');
  });

  test('that pauses while this process is stopped is read to its end', async () => {
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const socket = await startReader((request) => {
      begin();
      return readAll(request);
    });
    socket.write(`${head(2)}x`);
    await begun;
    const untilMs = performance.now() + 2 * LIMITS.silenceMs;
    while (performance.now() < untilMs);
    socket.write('x');
    expect(await answered(socket)).toContain('2 bytes');
  });

  test('of which nothing more comes is refused with a message', async () => {
    const socket = await startReader(readAll);
    socket.write(head(1_000));
    socket.write('x');
    const text = await answered(socket);
    expect(text).toMatch(/^HTTP\/1.1 408/);
    expect(text).toContain('"code":"REQUEST_TIMEOUT"');
    expect(text).toContain('No data arrived for');
  });

  test('that trickles below the minimal rate is refused with a message', async () => {
    const socket = await startReader(readAll);
    socket.write(head(100_000));
    const trickle = setInterval(() => socket.write('x'), 50);
    atEnd(() => clearInterval(trickle));
    const text = await answered(socket);
    expect(text).toMatch(/^HTTP\/1.1 408/);
    expect(text).toContain('slower than 1 kB per second');
  });

  test('that the server itself does not read is not blamed on the connection', async () => {
    const socket = await startReader(async (request) => {
      await wait(2 * LIMITS.silenceMs);
      return readAll(request);
    });
    socket.write(head(1_000_000));
    socket.write('x'.repeat(1_000_000));
    expect(await answered(socket)).toContain('1000000 bytes');
  });
});
