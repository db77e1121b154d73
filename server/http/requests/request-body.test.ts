import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import { MAP, multipart, OPERATIONS, open, post } from '../../test/http-harness.ts';
import { atEnd, startServer } from '../../test/server-harness.ts';
import { answerRequest } from '../answer-request.ts';
import { BodyWatch } from '../connections/slow-bodies.ts';

const QUERY = '{"query":"{ __typename }"}';

async function send(body: string | Buffer, headers: Record<string, string> = {}) {
  const server = await startServer();
  const { status, text } = await post(await open(server), Buffer.from(body), {
    'content-type': 'application/json',
    accept: 'application/json',
    ...headers,
  });
  return { status, text, error: JSON.parse(text).errors?.[0] };
}

describe('a compressed body', () => {
  test.each([
    ['gzip', gzipSync(QUERY)],
    ['deflate', deflateSync(QUERY)],
    ['br', brotliCompressSync(QUERY)],
    ['GZIP', gzipSync(QUERY)],
    ['x-gzip', gzipSync(QUERY)],
  ])('(%s) is read', async (encoding, body) => {
    const { status, text } = await send(body, { 'content-encoding': encoding });
    expect([status, JSON.parse(text)]).toEqual([200, { data: { __typename: 'Query' } }]);
  });

  test('that grows beyond the limit is 413', async () => {
    const bomb = gzipSync(JSON.stringify({ query: `{ __typename } #${' '.repeat(10_000_000)}` }));
    const { status, error } = await send(bomb, { 'content-encoding': 'gzip' });
    expect([status, error.extensions.code]).toEqual([413, 'REQUEST_TOO_LARGE']);
  });

  test.each([
    ['zstd', QUERY, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['gzip, br', QUERY, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['gzip', QUERY, 400, 'BAD_REQUEST'],
  ])(
    '(%s) that is not one of those, or not what it claims to be, is refused with a message',
    async (encoding, body, status, code) => {
      const answer = await send(body, { 'content-encoding': encoding });
      expect([answer.status, answer.error.extensions.code]).toEqual([status, code]);
      expect(answer.error.message).toMatch(/Content-Encoding/);
    },
  );

  test('with files is refused with a message', async () => {
    const body = multipart([
      ['operations', OPERATIONS],
      ['map', MAP],
      ['0', 'x', 'x.jpg'],
    ]);
    const { status, error } = await send(gzipSync(body), {
      'content-type': 'multipart/form-data; boundary=frontier',
      'content-encoding': 'gzip',
      'x-graphql-yoga-csrf': '1',
    });
    expect([status, error.extensions.code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  });
});

describe('what cannot be read', () => {
  test.each([
    ['no JSON', '{secret-word', 'application/json', 400, 'BAD_REQUEST'],
    ['nothing', '', 'application/json', 400, 'BAD_REQUEST'],
    ['a number', '3', 'application/json', 400, 'BAD_REQUEST'],
    ['another type', '<query/>', 'application/xml', 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ])("(%s) is refused with a message, without the parser's text", async (_name, body, type, status, code) => {
    const { text, error, ...answer } = await send(body, { 'content-type': type });
    expect([answer.status, error.extensions]).toEqual([status, { code }]);
    expect(text).not.toMatch(/SyntaxError|position|secret-word|token/);
  });

  test.each(['variables', 'extensions'])('%s in the URL that are not JSON are 400', async (name) => {
    const server = await startServer();
    const response = await server.fetch(`/graphql?query={__typename}&${name}=x`);
    expect(response.status).toBe(400);
    expect((await response.json()).errors[0]).toMatchObject({
      message: expect.stringContaining(name),
      extensions: { code: 'BAD_REQUEST' },
    });
  });

  test.each(['variables', 'extensions'])('%s in a form that are not JSON are 400', async (name) => {
    const { status, error } = await send(`query={__typename}&${name}=x`, {
      'content-type': 'application/x-www-form-urlencoded',
      'x-graphql-yoga-csrf': '1',
    });
    expect([status, error.extensions.code]).toEqual([400, 'BAD_REQUEST']);
    expect(error.message).toContain(name);
  });

  test('a client that leaves in the middle of it is not an error in the log', async () => {
    const lines: string[] = [];
    const server = await startServer({ onLog: (line) => lines.push(line) });
    const url = await open(server);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write(
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"query',
    );
    // The server has begun to read once it has answered what was asked later.
    await fetch(`${url}/health/live`);
    socket.destroy();
    await once(socket, 'close');
    await server.listener.drain();
    expect(lines.filter((line) => !line.includes('"level":20'))).toEqual([]);
  });

  test.each([
    ['a long name', `{ a${'x'.repeat(5_000)} }`, {}],
    ['a long text', `{ "${'x'.repeat(5_000)}" }`, {}],
    [
      'a long variable',
      'query ($id: Int!) { model(name: "x") { name } prediction(id: "x") { id } labels: __type(name: "x") { fields(includeDeprecated: true) { name } } models { name @include(if: $id) } }',
      { id: 'y'.repeat(5_000) },
    ],
  ])('%s is not echoed in full', async (_name, query, variables) => {
    const { text } = await send(JSON.stringify({ query, variables }));
    expect(JSON.parse(text).errors.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThan(1_500);
  });
});

test.each(['[', '{a:'])('a value nested too deeply (%s) is an error of the document', async (opening) => {
  const closing = opening === '[' ? ']' : '}';
  for (const depth of [500, 900, 5_000, 60_000]) {
    const value = `${opening.repeat(depth)}${opening === '[' ? '' : '1'}${closing.repeat(depth)}`;
    const { status, text } = await send(JSON.stringify({ query: `{ prediction(id: ${value}) { id } }` }));
    expect([depth, status! < 500]).toEqual([depth, true]);
    expect(JSON.parse(text).errors[0].extensions.code).not.toBe('INTERNAL_SERVER_ERROR');
  }
});

describe('a body in HTTP chunks of one byte', () => {
  const chunked = (text: string) => `${[...text].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`;
  const head = [
    'POST /graphql HTTP/1.1',
    'host: x',
    'connection: close',
    'content-type: application/json',
    'transfer-encoding: chunked',
  ];

  async function sendChunked(text: string, env: Record<string, string> = {}): Promise<string> {
    const server = await startServer({ env });
    const socket = connect(Number(new URL(await open(server)).port), '127.0.0.1');
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    socket.write(`${head.join('\r\n')}\r\n\r\n${chunked(text)}`);
    await once(socket, 'close');
    return Buffer.concat(parts).toString();
  }

  test('is read as a whole', async () => {
    const answer = await sendChunked(JSON.stringify({ query: `{ __typename } #${'x'.repeat(9_000)}` }));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain('"__typename":"Query"');
  });

  test('is refused beyond the limit', async () => {
    const text = JSON.stringify({ query: `{ __typename } #${'x'.repeat(9_000)}` });
    const answer = await sendChunked(text, { INFERQL_MAX_QUERY_BYTES: '5000' });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('REQUEST_TOO_LARGE');
  });
});

test('a body that comes after its request was refused as too slow is dropped, and takes no memory', async () => {
  const server = await startServer();
  const { app } = server.listener;
  const { services, files } = server.components;
  const listModels = vi.spyOn(services, 'listModels');
  const bodies = new BodyWatch({ silenceMs: 50, lookEveryMs: 10 });
  const http = createServer((request, response) => {
    bodies.watch(request, response);
    void answerRequest(app, request, response, pino({ enabled: false }));
  });
  atEnd(() => void http.close());
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const client = connect((http.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1');
  atEnd(() => void client.destroy());
  const arrived = once(http, 'request') as Promise<[IncomingMessage]>;
  const body = JSON.stringify({ query: '{ models { name } }', variables: { image: `data:,${'A'.repeat(2_000_000)}` } });
  client.write(
    `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  const [request] = await arrived;
  expect(String(await once(client, 'data'))).toMatch(/^HTTP\/1\.1 408 /);
  const ended = once(request, 'end');
  client.write(body);
  await ended;
  // The next request on the connection is answered after whatever the body would have caused.
  client.write('GET /graphql?query={__typename} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\n\r\n');
  expect(String(await once(client, 'data'))).toMatch(/^HTTP\/1\.1 200 /);
  expect(listModels).not.toHaveBeenCalled();
  expect(files.memory.heldBytes()).toBe(0);
});

describe('without the CSRF header', () => {
  test.each([
    ['an upload', 'multipart/form-data; boundary=x'],
    ['a form', 'application/x-www-form-urlencoded'],
  ])('%s is refused with a code, and the header is named', async (_name, type) => {
    const { status, error } = await send('x', { 'content-type': type });
    expect(status).toBe(403);
    expect(error.extensions.code).toBe('CSRF_HEADER_MISSING');
    expect(error.message).toContain('x-graphql-yoga-csrf');
  });

  test('a mutation is refused, too', async () => {
    const { status, error } = await send(JSON.stringify({ query: 'mutation { cancelPrediction(id: "x") { id } }' }));
    expect([status, error.extensions.code]).toEqual([403, 'CSRF_HEADER_MISSING']);
  });
});

describe('an unknown path', () => {
  test('has a page for people', async () => {
    const server = await startServer();
    const response = await server.fetch('/nonsense', { headers: { accept: 'text/html,*/*' } });
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).toContain('Page not found');
  });

  test('has an error for programs', async () => {
    const server = await startServer();
    const response = await server.fetch('/nonsense', { headers: { accept: 'application/json' } });
    expect(response.status).toBe(404);
    expect((await response.json()).errors[0].extensions.code).toBe('BAD_REQUEST');
  });
});
