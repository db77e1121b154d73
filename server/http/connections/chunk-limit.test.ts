import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { atEnd, startServer } from '../../test/server-harness.ts';
import { MAX_SMALL_CHUNKS, MIN_CHUNK_BYTES } from './chunk-limit.ts';

/** Posts a body in chunks. @returns all that came until the server closed the connection */
async function post(url: string, type: string, chunks: string[]): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('latin1');
  atEnd(() => void socket.destroy());
  socket.on('error', () => undefined);
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  const closed = once(socket, 'close');
  socket.write(
    `POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-graphql-yoga-csrf: 1\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  socket.write(chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join(''));
  socket.write('0\r\n\r\n');
  await closed;
  return text;
}

const QUERY = '{"query":"{__typename}","extensions":{"x":"';

test.each([
  ['a JSON body', 'application/json', QUERY],
  [
    'a field of a form',
    'multipart/form-data; boundary=b',
    '--b\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{',
  ],
  [
    'a file',
    'multipart/form-data; boundary=b',
    '--b\r\ncontent-disposition: form-data; name="0"; filename="x"\r\n\r\n',
  ],
])('%s byte by byte is refused, and its connection closed', async (_name, type, start) => {
  const server = await startServer();
  const url = await server.listener.listen();
  const text = await post(url, type, [start, ...Array(5 * MAX_SMALL_CHUNKS).fill('x')]);
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(JSON.parse(text.slice(text.indexOf('{'))).errors[0].extensions.code).toBe('BAD_REQUEST');
  expect((await fetch(`${url}/health/live`)).status).toBe(200);
});

test.each([
  ['a foreign host', 'host: evil.test', 421],
  ['a WebSocket whose Upgrade is missing', 'host: x\r\nsec-websocket-key: x', 426],
  ['an unknown expectation', 'host: x\r\nexpect: wonders', 417],
])('a body byte by byte behind %s, which is refused, closes the connection, too', async (_name, headers, status) => {
  const server = await startServer();
  const socket = connect(Number(new URL(await server.listener.listen()).port), '127.0.0.1').setEncoding('latin1');
  atEnd(() => void socket.destroy());
  socket.on('error', () => undefined);
  const answer = once(socket, 'data');
  // Not once() of node:events, which would reject if the server resets the connection.
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(`POST /graphql HTTP/1.1\r\n${headers}\r\ntransfer-encoding: chunked\r\n\r\n`);
  expect(String(await answer)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  socket.write('1\r\nx\r\n'.repeat(5 * MAX_SMALL_CHUNKS));
  await closed;
});

test('a few thousand small chunks are read, and any number of ordinary ones', async () => {
  const server = await startServer({ env: { INFERQL_MAX_QUERY_BYTES: '20000000' } });
  const url = await server.listener.listen();
  const small = await post(url, 'application/json', [QUERY, ...Array(MAX_SMALL_CHUNKS - 3).fill('x'), '"}}']);
  expect(small).toContain('{"data":{"__typename":"Query"}}');
  const ordinary = Array(2 * MAX_SMALL_CHUNKS).fill('x'.repeat(MIN_CHUNK_BYTES));
  expect(await post(url, 'application/json', [QUERY, ...ordinary, '"}}'])).toContain('{"data":{"__typename":"Query"}}');
});
