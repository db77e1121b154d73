import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { watchUnusedConnections } from './unused-connections.ts';

const server = createServer((_request, response) => response.end('here'));
const unused = watchUnusedConnections(server);
const open: Socket[] = [];

afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
  server.close();
});

async function connectTo(): Promise<Socket> {
  const accepted = once(server, 'connection');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  open.push(socket);
  await accepted;
  return socket;
}

test('closes what was opened in advance, and neither what has begun a request nor what has sent one', async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const [advance, begun, served] = [await connectTo(), await connectTo(), await connectTo()];
  served.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  expect(String(await once(served, 'data'))).toContain('200 OK');
  begun.write('GET / HTTP/1.1\r\nhost:');
  // Whatever was sent before this answer has arrived.
  served.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await once(served, 'data');
  unused.close();
  await once(advance, 'close');
  begun.write(' a\r\n\r\n');
  expect(String(await once(begun, 'data'))).toContain('200 OK');
  expect(served.destroyed).toBe(false);
});
