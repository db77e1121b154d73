import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { startServer } from '../test/server-harness.ts';

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
