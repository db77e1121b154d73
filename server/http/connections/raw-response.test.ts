import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { answerOnSocket } from './raw-response.ts';

const REFUSAL = { status: 503, code: 'UNAVAILABLE', message: 'Try again later.' } as const;

test('a client that resets an upgrade while it is refused does not end the process', async () => {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  try {
    client.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    const [, socket] = (await once(server, 'upgrade')) as [unknown, Socket];
    answerOnSocket(socket, REFUSAL);
    // As Node reports a reset. Without a listener, this throws: in a real server, nobody catches it.
    expect(() => socket.emit('error', new Error('write EPIPE'))).not.toThrow();
    expect(socket.destroyed).toBe(true);
  } finally {
    client.destroy();
    server.close();
  }
});
