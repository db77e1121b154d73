/** Limits of one connection, and answers to requests that no browser sends, through real sockets. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { measureKeptBytes } from '@inferql/testing/processes/used-memory';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { atEnd, startServer, startWorker } from '../../test/server-harness.ts';
import { enqueue } from '../../test/subscriptions.ts';
import { limitConnections } from './connection-limit.ts';
import { continueWithoutUpgrade } from './foreign-upgrade.ts';
import { MAX_PIPELINED_REQUESTS, oneAtATime } from './pipelining.ts';
import { watchUnusedConnections } from './unused-connections.ts';

const ASSET_BYTES = 5_000_000;

function open(url: string): Socket & { text: string } {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  atEnd(() => void socket.destroy());
  const reader = Object.assign(socket.setEncoding('latin1'), { text: '' });
  socket.on('error', () => undefined);
  socket.on('data', (chunk: string) => {
    reader.text += chunk;
  });
  return reader;
}

/** Sends bytes and resolves with all that came until the server closed, or until `enough` holds. */
async function exchange(url: string, bytes: string, enough = (_text: string) => false): Promise<string> {
  const socket = open(url);
  await new Promise<void>((resolve) => {
    // Not once() of node:events, which would reject if the server resets the connection.
    socket.once('close', () => resolve());
    socket.on('data', () => enough(socket.text) && resolve());
    socket.write(bytes);
  });
  socket.destroy();
  return socket.text;
}

const get = (path: string, headers = 'host: x\r\n') => `GET ${path} HTTP/1.1\r\n${headers}\r\n`;

describe('pipelined requests', () => {
  test('run one after the other, and are answered in order', async () => {
    let running = 0;
    let most = 0;
    const server = createServer(
      oneAtATime((request, response) => {
        most = Math.max(most, ++running);
        setImmediate(() => {
          running--;
          response.end(request.url);
        });
      }),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => void server.close());
    const { port } = server.address() as { port: number };
    const paths = Array.from({ length: MAX_PIPELINED_REQUESTS }, (_, i) => `/${i}`);
    const text = await exchange(`http://127.0.0.1:${port}`, paths.map((path) => get(path)).join(''), (all) =>
      all.endsWith(paths.at(-1)!),
    );
    expect(text.match(/^\/\d+/gm)).toEqual(paths);
    expect(most).toBe(1);
  });

  test('of a large file are buffered by one chunk each, and too many of them end the connection', async () => {
    const folder = join((await startServer()).stateDir, 'page');
    mkdirSync(join(folder, 'assets'), { recursive: true });
    writeFileSync(join(folder, 'index.html'), '<!doctype html>');
    writeFileSync(join(folder, 'assets', 'large.js'), 'x'.repeat(ASSET_BYTES));
    const server = await startServer({ env: { WEB_DIR: folder } });
    const url = await server.listener.listen();
    const keptBytes = measureKeptBytes();
    const sockets = Array.from({ length: 4 }, () => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1').pause();
      atEnd(() => void socket.destroy());
      socket.write(get('/assets/large.js').repeat(MAX_PIPELINED_REQUESTS));
      return socket;
    });
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    // Others still get answers.
    for (let i = 0; i < 20; i++) expect((await fetch(`${url}/health/live`)).status).toBe(200);
    await expect.poll(keptBytes).toBeLessThan(10 * ASSET_BYTES);

    const text = await exchange(url, get('/assets/large.js').repeat(MAX_PIPELINED_REQUESTS + 50));
    expect(text.length).toBeLessThan(2 * ASSET_BYTES);
  });
});

describe('an Upgrade to another protocol', () => {
  test.each([
    ['h2c', 'host: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n'],
    ['TLS', 'host: x\r\nconnection: upgrade\r\nupgrade: TLS/1.0\r\n'],
  ])('(%s) is ignored, for each request of the connection', async (_name, headers) => {
    const server = await startServer();
    const url = await server.listener.listen();
    const socket = open(url);
    for (let i = 1; i <= 3; i++) {
      socket.write(get('/health/live', headers));
      while (socket.text.split('live\n').length <= i) await once(socket, 'data');
    }
    expect(socket.text.match(/HTTP\/1.1 \d+/g)).toEqual(Array(3).fill('HTTP/1.1 200'));
  });

  test('does not count as another connection', async () => {
    const server = createServer((_request, response) => response.end('live\n'));
    const isBeyondLimit = limitConnections(server, 5, pino({ enabled: false }));
    const beyond: boolean[] = [];
    server.on('request', (request) => beyond.push(isBeyondLimit(request)));
    server.on('upgrade', (request, socket, head) => continueWithoutUpgrade(server, request, socket, head));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => void server.close());
    const socket = open(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    for (let i = 1; i <= 20; i++) {
      socket.write(get('/', 'host: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n'));
      while (socket.text.split('live\n').length <= i) await once(socket, 'data');
    }
    expect(beyond).toEqual(Array(20).fill(false));
  });

  test('leaves no listeners on its connection', async () => {
    const server = createServer((_request, response) => response.end('live\n'));
    watchUnusedConnections(server);
    const counts: number[] = [];
    server.on('upgrade', (request, socket, head) => {
      continueWithoutUpgrade(server, request, socket, head);
      counts.push(socket.eventNames().reduce<number>((sum, name) => sum + socket.listenerCount(name), 0));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => void server.close());
    const socket = open(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    for (let i = 1; i <= 4; i++) {
      socket.write(get('/', 'host: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n'));
      while (socket.text.split('live\n').length <= i) await once(socket, 'data');
    }
    expect(counts).toEqual(Array(4).fill(counts[0]));
  });

  test('keeps the body that comes with it', async () => {
    const server = await startServer();
    const body = JSON.stringify({ query: '{ __typename }' });
    const text = await exchange(
      await server.listener.listen(),
      `POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      (all) => all.includes('__typename'),
    );
    expect(text).toMatch(/^HTTP\/1.1 200/);
    expect(text).toContain('{"data":{"__typename":"Query"}}');
  });
});

describe('requests that cannot be routed or parsed', () => {
  test.each([
    ['a Host with a space', get('/health/live', 'host: a b\r\n'), 400],
    ['a Host that is a URL', get('/health/live', 'host: http://x/\r\n'), 400],
    ['two Hosts', get('/health/live', 'host: x\r\nHost: y\r\n'), 400],
    ['two lengths', `${get('/health/live', 'host: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n')}ab`, 400],
    ['a length and chunks', get('/health/live', 'host: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n'), 400],
    ['a coding behind chunks', get('/health/live', 'host: x\r\ntransfer-encoding: chunked, identity\r\n'), 400],
    ['a folded header', get('/health/live', 'host: x\r\nx: a\r\n b\r\n'), 400],
    ['lines that end without CR', 'GET /health/live HTTP/1.1\nhost: x\n\n', 400],
    ['no Host', get('/health/live', ''), 400],
    ['a target that is not a path', 'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n', 400],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['a TLS greeting', `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${'\x00'.repeat(500)}`, 400],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', 400],
    ['headers of 20 KB', get('/health/live', `host: x\r\nx: ${'x'.repeat(20_000)}\r\n`), 431],
    ['an expectation', get('/health/live', 'host: x\r\nexpect: wonders\r\n'), 417],
    ['a name that may be made to lead here', get('/health/live', 'host: evil.test\r\n'), 421],
  ])('%s is refused with a message, with the security headers and no internals', async (_name, bytes, status) => {
    const server = await startServer();
    const text = await exchange(await server.listener.listen(), bytes, (all) => all.endsWith('}\n'));
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toContain('x-content-type-options: nosniff');
    expect(text).toContain('x-frame-options: DENY');
    const [error] = JSON.parse(text.slice(text.indexOf('\r\n\r\n'))).errors;
    expect(error.extensions.code).toMatch(/^(BAD_REQUEST|REQUEST_TOO_LARGE)$/);
    expect(text).not.toMatch(/node_modules|\.js:|\.ts:|at /);
  });

  test.each([
    ['127.0.0.1:4000', {}, 200],
    ['[::1]:4000', {}, 200],
    ['localhost', {}, 200],
    ['app.localhost:1', {}, 200],
    ['server', {}, 200],
    ['good.test', { INFERQL_ALLOWED_HOSTS: 'good.test' }, 200],
    ['Good.Test.', { INFERQL_ALLOWED_HOSTS: 'good.test' }, 200],
    ['evil.test', { INFERQL_ALLOWED_HOSTS: 'good.test' }, 421],
    ['any.test', { INFERQL_ALLOWED_HOSTS: '*' }, 200],
    ['any.test', { INFERQL_TRUST_PROXY: 'on' }, 200],
  ])('the host %s with %o is %i', async (host, env, status) => {
    const server = await startServer({ env: env as Record<string, string> });
    const text = await exchange(
      await server.listener.listen(),
      get('/health/live', `host: ${host}\r\nconnection: close\r\n`),
    );
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });
});

test('a whole URL as the target, as proxies send it, is reduced to its path', async () => {
  const server = await startServer();
  const text = await exchange(await server.listener.listen(), get('http://x:1/health/live'), (all) =>
    all.endsWith('live\n'),
  );
  expect(text).toMatch(/^HTTP\/1.1 200/);
});

test.each(['multipart/mixed', 'text/event-stream, */*', 'image/png'])(
  'HEAD of an answer as %s says that the connection closes, as requested, and closes it',
  async (accept) => {
    const server = await startServer();
    const url = await server.listener.listen();
    const headers = `host: x\r\naccept: ${accept}\r\nconnection: close\r\n`;
    const text = await exchange(url, get('/graphql?query={models{name}}', headers).replace('GET', 'HEAD'));
    expect(text).toMatch(/^HTTP\/1\.1 \d+ [\s\S]*\r\n\r\n$/);
    expect(text.toLowerCase()).toContain('\r\nconnection: close\r\n');
  },
);

/** A queued image. @returns the subscription to its states, as a query in a URL */
async function subscribeToImage(server: Awaited<ReturnType<typeof startServer>>): Promise<string> {
  await startWorker(server.prefix);
  const id = await enqueue(server, 7);
  return encodeURIComponent(`subscription { prediction(id: "${id}") { status } }`);
}

test('an event stream on a connection that will be closed says so, and closes it', async () => {
  const server = await startServer();
  const query = await subscribeToImage(server);
  const text = await exchange(
    await server.listener.listen(),
    get(`/graphql?query=${query}`, 'host: x\r\naccept: text/event-stream\r\nconnection: close\r\n'),
  );
  expect(text).toContain('"SUCCEEDED"');
  expect(text.match(/^connection: .*$/gim)).toEqual(['Connection: close']);
});

test('a request behind an event stream is answered once that has ended', async () => {
  const server = await startServer();
  const query = await subscribeToImage(server);
  const text = await exchange(
    await server.listener.listen(),
    get(`/graphql?query=${query}`, 'host: x\r\naccept: text/event-stream\r\n') + get('/health/live'),
    (all) => all.endsWith('live\n'),
  );
  expect(text.indexOf('event: complete')).toBeGreaterThan(0);
  expect(text.indexOf('live\n')).toBeGreaterThan(text.indexOf('event: complete'));
});
