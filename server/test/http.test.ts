import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { serverAudits } from 'graphql-http';
import { describe, expect, test } from 'vitest';
import { ANONYMOUS } from '../access/principal.ts';
import { MAP, MULTIPART_HEADERS, multipart, OPERATIONS, open, send } from './http-harness.ts';
import { jsonRequest, uploadRequest } from './requests.ts';
import { CLASSIFY, ENQUEUE, paint, startServer, startWorker } from './server-harness.ts';

describe('GraphQL over HTTP', () => {
  const audits = serverAudits({ url: () => audited, fetchFn: fetch });
  let audited = '';
  test('the whole audit passes', async () => {
    const server = await startServer();
    audited = `${await open(server)}/graphql`;
    const failed: string[] = [];
    for (const audit of audits) {
      const result = await audit.fn();
      if (result.status !== 'ok') failed.push(`${audit.id} ${audit.name}: ${result.reason}`);
    }
    expect(failed).toEqual([]);
    expect(audits.length).toBe(61);
  });
});

describe('health', () => {
  test('live and ready; 503 while it drains', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    expect((await server.fetch('/health/live')).status).toBe(200);
    expect((await server.fetch('/health/ready')).status).toBe(200);
    expect((await server.fetch('/health/nothing')).status).toBe(404);
    server.components.drain();
    expect((await server.fetch('/health/ready')).status).toBe(503);
    expect((await server.fetch('/health/live')).status).toBe(200);
  });

  test('ready does not depend on workers', async () => {
    const server = await startServer();
    expect((await server.fetch('/health/ready')).status).toBe(200);
  });
});

describe('the web page', () => {
  async function startWithPage() {
    const folder = join(await (await startServer()).stateDir, 'page');
    mkdirSync(join(folder, 'assets'), { recursive: true });
    writeFileSync(join(folder, 'index.html'), '<!doctype html><title>InferQL</title>');
    const script = `console.log(${'1+'.repeat(500)}1)`;
    writeFileSync(join(folder, 'assets', 'main-abc123.js'), script);
    writeFileSync(join(folder, 'assets', 'main-abc123.js.br'), brotliCompressSync(script));
    writeFileSync(join(folder, '..', 'secret.txt'), 'secret');
    return startServer({ env: { INFERQL_WEB_DIR: folder } });
  }

  test('is served at / and at the link of a prediction, with its policy', async () => {
    const server = await startWithPage();
    for (const path of ['/', '/p/resnet50.AbC-_0123456789abcdefg', '/p/resnet50.AbC-_0123456789abcdefg/']) {
      const response = await server.fetch(path);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('content-security-policy')).toContain("default-src 'self'");
      expect(response.headers.get('cache-control')).toBe('no-cache');
      expect(await response.text()).toContain('InferQL');
    }
  });

  test('hashed files never change, and are compressed; a cached one is not sent again', async () => {
    const server = await startWithPage();
    const compressed = { 'accept-encoding': 'gzip, br' };
    const response = await server.fetch('/assets/main-abc123.js', { headers: compressed });
    expect(response.headers.get('cache-control')).toContain('immutable');
    expect(response.headers.get('content-encoding')).toBe('br');
    expect(Number(response.headers.get('content-length'))).toBeLessThan(200);
    const etag = response.headers.get('etag')!;
    const known = { 'if-none-match': etag };
    expect((await server.fetch('/assets/main-abc123.js', { headers: { ...compressed, ...known } })).status).toBe(304);
    // A client that cannot read Brotli has never seen the version that this tag names.
    expect((await server.fetch('/assets/main-abc123.js', { headers: known })).status).toBe(200);
  });

  test.each([
    ['br', 'br'],
    ['BR;Q=1', 'br'],
    ['*', 'br'],
    ['gzip;q=0.5, br;q=0.1', 'br'],
    ['br;q=0.5, identity;q=0.5', 'br'],
    ['identity;q=0, *', 'br'],
    ['br;q=0', null],
    ['br ; q=0.000, *', null],
    ['*;q=0', null],
    ['identity;q=0', null],
    ['br;q=0.1, identity;q=0.5', null],
    ['gzip, x-br', null],
    ['', null],
  ])('with Accept-Encoding: %s, a compressed file has the coding %s', async (accepted, coding) => {
    const server = await startWithPage();
    const response = await server.fetch('/assets/main-abc123.js', { headers: { 'accept-encoding': accepted } });
    expect([response.status, response.headers.get('content-encoding')]).toEqual([200, coding]);
    expect(response.headers.get('vary')).toContain('accept-encoding');
  });

  test.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/assets/../../secret.txt',
    '/..%2fsecret.txt',
    '/assets',
    '/nothing.js',
    '//etc/passwd',
  ])('%s is not served', async (path) => {
    const server = await startWithPage();
    const { outgoing, answer } = sendGet(await open(server), path);
    outgoing.end();
    const { status, text } = await answer;
    expect(status).toBe(404);
    expect(text).not.toContain('secret');
  });
});

function sendGet(url: string, path: string) {
  // The path is sent unchanged: fetch would normalize it.
  const { hostname, port } = new URL(url);
  const outgoing = httpRequest({ hostname, port, path });
  const answer = once(outgoing, 'response').then(async ([response]) => {
    let text = '';
    for await (const chunk of response as IncomingMessage) text += chunk;
    return { status: (response as IncomingMessage).statusCode, text };
  });
  return { outgoing, answer };
}

describe('shutting down', () => {
  test('a waiting mutation is answered with its end', async () => {
    const server = await startServer({ env: { INFERQL_DRAIN_MS: '5000' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const url = await open(server);
    const answer = fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [await paint(8)]));
    await server.queueBecame(({ processing }) => processing === 1);
    const drained = server.listener.drain();
    worker.settling.open();
    const response = await answer;
    expect(response.headers.get('connection')).toBe('close');
    expect(await response.json()).toMatchObject({ data: { classifyImage: { status: 'SUCCEEDED' } } });
    await drained;
    await expect(fetch(`${url}/health/live`)).rejects.toThrow();
  });

  test('a connection that a browser opened in advance does not hold it up', async () => {
    const server = await startServer({ env: { INFERQL_DRAIN_MS: '60000' } });
    const { port } = new URL(await open(server));
    const socket = connect(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    const closed = once(socket, 'close');
    await server.listener.drain();
    await closed;
  });

  test('one whose work outlasts the drain is answered with the current state', async () => {
    const server = await startServer({ env: { INFERQL_DRAIN_MS: '100' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const url = await open(server);
    const answer = fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [await paint(8)]));
    await server.queueBecame(({ processing }) => processing === 1);
    await server.listener.drain();
    expect(await (await answer).json()).toMatchObject({
      data: { classifyImage: { status: 'PROCESSING', result: null } },
    });
  });

  test('one whose image is still being sent is refused as retryable, and not queued', async () => {
    const server = await startServer({ env: { INFERQL_DRAIN_MS: '5000', INFERQL_UPLOAD_MEMORY_BYTES: '0' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const { outgoing, answer } = send(await open(server), MULTIPART_HEADERS);
    const body = multipart([
      ['operations', OPERATIONS],
      ['map', MAP],
      ['0', await paint(8), 'x.png'],
    ]);
    await new Promise<void>((resolve) => outgoing.write(body.subarray(0, -40), () => resolve()));
    await server.uploadDirFilled(1);
    const drained = server.listener.drain();
    outgoing.end(body.subarray(-40));
    const { status, text } = await answer;
    expect(status).toBe(503);
    expect(JSON.parse(text).errors[0].extensions).toEqual({ code: 'UNAVAILABLE', retryAfterMs: expect.any(Number) });
    await drained;
    expect((await server.components.services.viewQueue(ANONYMOUS, 'tiny'))!.waiting).toBe(0);
  });

  test('a subscription that comes too late is refused as retryable', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(8)]);
    server.components.drain();
    for (const query of [
      `subscription { prediction(id: "${data.classifyImage.id}") { status } }`,
      'subscription { queue { waiting } }',
    ]) {
      const response = await server.fetch('/graphql', jsonRequest(query, {}, { accept: 'text/event-stream' }));
      expect(await response.text()).toContain('"code":"UNAVAILABLE"');
    }
  });

  test('neither a refused upgrade nor a silent connection delays it', async () => {
    const server = await startServer();
    const { port } = new URL(await open(server));
    const sockets = [
      'GET /elsewhere HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      'GET /',
    ].map((text) => {
      // The client never closes its side.
      const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => undefined).write(text);
      return socket;
    });
    await once(sockets[0]!, 'data');
    await server.listener.drain();
    for (const socket of sockets) socket.destroy();
  });
});
