import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { atEnd, startServer } from '../../test/server-harness.ts';
import { closeAfterBody } from './lingering-close.ts';

test('a client that announces to close sees the answer to a body that is refused before it has arrived', async () => {
  const server = await startServer();
  const { port } = new URL(await server.listener.listen());
  const length = 8_000_000;
  for (let round = 0; round < 5; round++) {
    const socket = connect(Number(port), '127.0.0.1').setEncoding('latin1');
    let text = '';
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    // Reset by the server: the answer may be lost with it.
    let error: Error | undefined;
    socket.on('error', (reset) => {
      error = reset;
    });
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\n`,
    );
    socket.write(Buffer.alloc(length));
    await once(socket, 'close');
    expect(error).toBeUndefined();
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(text).toContain('"errors"');
  }
});

test('a connection does not hold its earlier requests', async () => {
  const closings = new Set<unknown>();
  const server = createServer((request, response) => {
    closeAfterBody(request);
    closings.add(request.socket.destroySoon);
    request.resume().once('end', () => response.end('read\n'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1').setEncoding('latin1');
  atEnd(() => {
    socket.destroy();
    server.close();
  });
  for (let i = 0; i < 5; i++) {
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx');
    await once(socket, 'data');
  }
  // A new function per request would be a chain through which the connection holds them all.
  expect(closings.size).toBe(1);
});
