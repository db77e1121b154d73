import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { serverAudits } from 'graphql-http';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { CLASSIFY, ENQUEUE, jsonRequest, paint, startServer, startWorker, uploadRequest } from './server.fixture.ts';

const BOUNDARY = 'frontier';

/** A multipart body written by hand. */
function multipart(parts: [name: string, body: Buffer | string, filename?: string][], { end = true } = {}): Buffer {
  const pieces = parts.flatMap(([name, body, filename]) => [
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${filename ? `; filename="${filename}"` : ''}\r\n\r\n`,
    body,
    '\r\n',
  ]);
  if (end) pieces.push(`--${BOUNDARY}--\r\n`);
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
}

const MULTIPART_HEADERS = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'x-graphql-yoga-csrf': '1' };
const OPERATIONS = JSON.stringify({ query: CLASSIFY, variables: { image: null } });
const MAP = JSON.stringify({ 0: ['variables.image'] });

type Server = Awaited<ReturnType<typeof startServer>>;

/** Sends a request through a real socket; the body may be sent in part only. */
function send(url: string, headers: Record<string, string>) {
  const outgoing = httpRequest(`${url}/graphql`, { method: 'POST', headers });
  outgoing.on('error', () => undefined);
  const answer = once(outgoing, 'response').then(async ([response]) => {
    const chunks: Buffer[] = [];
    for await (const chunk of response as IncomingMessage) chunks.push(chunk as Buffer);
    return { status: (response as IncomingMessage).statusCode, text: Buffer.concat(chunks).toString() };
  });
  return { outgoing, answer };
}

async function post(url: string, body: Buffer, headers: Record<string, string> = MULTIPART_HEADERS) {
  const { outgoing, answer } = send(url, headers);
  outgoing.end(body);
  return answer;
}

async function open(server: Server): Promise<string> {
  return server.listener.listen();
}

describe('uploads', () => {
  test('each bad file is InvalidImageError with its code, HTTP 200, and leaves no file', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await open(server);
    const jpeg = await sharp({
      create: {
        width: 400,
        height: 300,
        channels: 3,
        background: 'teal',
        noise: { type: 'gaussian', mean: 128, sigma: 40 },
      },
    })
      .jpeg()
      .toBuffer();
    const huge = await sharp({
      create: { width: 12_000, height: 12_000, channels: 3, background: 'grey' },
      limitInputPixels: false,
    })
      .png()
      .toBuffer();
    const cases: [string, Buffer][] = [
      ['EMPTY', Buffer.alloc(0)],
      ['UNSUPPORTED_FORMAT', Buffer.from('plain text, not a picture')],
      ['UNSUPPORTED_FORMAT', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
      ['CORRUPT', jpeg.subarray(0, jpeg.length >> 1)],
      ['TOO_MANY_PIXELS', huge],
      ['TOO_LARGE', Buffer.concat([jpeg, Buffer.alloc(10 * 1024 * 1024 + 1 - jpeg.length)])],
    ];
    for (const [code, file] of cases) {
      const { status, text } = await post(
        url,
        multipart([
          ['operations', OPERATIONS],
          ['map', MAP],
          ['0', file, 'x.jpg'],
        ]),
      );
      expect(status, code).toBe(200);
      expect(JSON.parse(text).data.classifyImage).toMatchObject({ __typename: 'InvalidImageError', code });
    }
    await server.spoolEmptied();
  });

  test('a file of exactly the limit passes, one byte more does not', async () => {
    const image = await paint(100, 64);
    const server = await startServer({ env: { MAX_UPLOAD_BYTES: String(image.length + 10) } });
    await startWorker(server.prefix);
    const padded = (bytes: number) => Buffer.concat([image, Buffer.alloc(bytes)]);
    const fits = await server.upload<{ classifyImage: object }>(CLASSIFY, [padded(10)]);
    expect(fits.data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
    const exceeds = await server.upload<{ classifyImage: object }>(CLASSIFY, [padded(11)]);
    expect(exceeds.data.classifyImage).toMatchObject({ code: 'TOO_LARGE' });
  });

  test('a file over the limit is answered while it still streams', async () => {
    const server = await startServer({ env: { MAX_UPLOAD_BYTES: '1000' } });
    await startWorker(server.prefix);
    const { outgoing, answer } = send(await open(server), MULTIPART_HEADERS);
    outgoing.write(
      multipart(
        [
          ['operations', OPERATIONS],
          ['map', MAP],
          ['0', Buffer.alloc(5_000), 'x.jpg'],
        ],
        { end: false },
      ),
    );
    const { status, text } = await answer;
    expect(status).toBe(200);
    expect(text).toContain('TOO_LARGE');
    outgoing.destroy();
    await server.spoolEmptied();
  });

  test('an aborted upload leaves no file', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await open(server);
    for (let i = 0; i < 5; i++) {
      const { outgoing, answer } = send(url, MULTIPART_HEADERS);
      answer.catch(() => undefined);
      const sent = new Promise<void>((resolve) => {
        outgoing.write(
          multipart(
            [
              ['operations', OPERATIONS],
              ['map', MAP],
              ['0', Buffer.alloc(200_000), 'x.jpg'],
            ],
            { end: false },
          ),
          () => resolve(),
        );
      });
      await sent;
      outgoing.destroy();
    }
    // The server has seen them all once it answers another one.
    await post(
      url,
      multipart([
        ['operations', OPERATIONS],
        ['map', MAP],
        ['0', await paint(1), 'x.png'],
      ]),
    );
    await server.spoolEmptied();
  });

  const whole: [string, Buffer | string, string?][] = [
    ['operations', OPERATIONS],
    ['map', MAP],
    ['0', 'x', 'x.jpg'],
  ];
  test.each<[string, Buffer]>([
    ['garbage', Buffer.from('this is no multipart body')],
    ['nothing', Buffer.alloc(0)],
    [
      'operations that are no JSON',
      multipart([
        ['operations', '{'],
        ['map', MAP],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'operations that are no object',
      multipart([
        ['operations', '"x"'],
        ['map', MAP],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'a map that is no JSON',
      multipart([
        ['operations', OPERATIONS],
        ['map', '['],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'a map that is no object',
      multipart([
        ['operations', OPERATIONS],
        ['map', '[1]'],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'a path into nowhere',
      multipart([
        ['operations', OPERATIONS],
        ['map', '{"0":["variables.a.b.c"]}'],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'a path into a prototype',
      multipart([
        ['operations', OPERATIONS],
        ['map', '{"0":["__proto__.polluted"]}'],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'the file before the map',
      multipart([
        ['0', 'x', 'x.jpg'],
        ['operations', OPERATIONS],
        ['map', MAP],
      ]),
    ],
    ['no map', multipart([['operations', OPERATIONS]])],
    [
      'a file that is missing',
      multipart([
        ['operations', OPERATIONS],
        ['map', MAP],
      ]),
    ],
    ['no end', multipart(whole, { end: false })],
  ])('a multipart body with %s is 400', async (_name, body) => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { status, text } = await post(await open(server), body);
    expect(status, text).toBe(400);
    expect(JSON.parse(text).errors).toHaveLength(1);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    await server.spoolEmptied();
  });

  test('a multipart request without a boundary is 400', async () => {
    const server = await startServer();
    const { status } = await post(await open(server), Buffer.from('x'), {
      ...MULTIPART_HEADERS,
      'content-type': 'multipart/form-data',
    });
    expect(status).toBe(400);
  });

  test.each(['announced', 'chunked'])('an oversized body is 413 (%s)', async (kind) => {
    const server = await startServer({ env: { MAX_BODY_BYTES: '100000' } });
    await startWorker(server.prefix);
    const body = multipart([
      ['operations', OPERATIONS],
      ['map', MAP],
      ['0', Buffer.alloc(200_000), 'x.jpg'],
    ]);
    const headers = {
      ...MULTIPART_HEADERS,
      ...(kind === 'announced' ? { 'content-length': String(body.length) } : { 'transfer-encoding': 'chunked' }),
    };
    expect((await post(await open(server), body, headers)).status).toBe(413);
    await server.spoolEmptied();
  });

  test.each(['announced', 'chunked'])('an oversized body without files is 413 (%s)', async (kind) => {
    const server = await startServer();
    const body = Buffer.from(JSON.stringify({ query: `{ __typename ${'#'.repeat(300_000)}\n }` }));
    const headers = {
      'content-type': 'application/json',
      ...(kind === 'announced' ? { 'content-length': String(body.length) } : { 'transfer-encoding': 'chunked' }),
    };
    expect((await post(await open(server), body, headers)).status).toBe(413);
  });

  test('a chunked body without files is read', async () => {
    const server = await startServer();
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    const { status, text } = await post(await open(server), Buffer.from('{"query":"{ __typename }"}'), headers);
    expect([status, JSON.parse(text).data]).toEqual([200, { __typename: 'Query' }]);
  });

  test('a plain object does not pass for a file', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data, errors } = await server.query(CLASSIFY, { image: { file: 'x', promise: {} } });
    expect(data).toBeUndefined();
    expect(errors![0]!.message).toContain('multipart');
  });

  test('a caller who leaves while its prediction waits has it cancelled', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    worker.settling.close();
    const url = await open(server);
    // One keeps the worker busy.
    await server.upload(ENQUEUE, [await paint(1)]);
    const { outgoing, answer } = send(url, MULTIPART_HEADERS);
    answer.catch(() => undefined);
    outgoing.end(
      multipart([
        ['operations', OPERATIONS],
        ['map', MAP],
        ['0', await paint(2), 'x.png'],
      ]),
    );
    const waiting = async () => (await server.backend.services.viewQueue('tiny'))!;
    while ((await waiting()).waiting + (await waiting()).processing < 2);
    outgoing.destroy();
    while ((await waiting()).ended.CANCELED !== 1);
  });

  test('with CANCEL_ABANDONED off it goes on', async () => {
    const server = await startServer({ env: { CANCEL_ABANDONED: 'off' } });
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    worker.settling.close();
    const { outgoing, answer } = send(await open(server), MULTIPART_HEADERS);
    answer.catch(() => undefined);
    outgoing.end(
      multipart([
        ['operations', OPERATIONS],
        ['map', MAP],
        ['0', await paint(2), 'x.png'],
      ]),
    );
    const queue = async () => (await server.backend.services.viewQueue('tiny'))!;
    while ((await queue()).waiting + (await queue()).processing < 1);
    outgoing.destroy();
    worker.claiming.open();
    worker.settling.open();
    while ((await queue()).ended.SUCCEEDED !== 1);
    expect((await queue()).ended.CANCELED).toBe(0);
  });
});

describe('protection', () => {
  test.each(['multipart/form-data; boundary=frontier', 'application/x-www-form-urlencoded', 'text/plain'])(
    '%s without the header is 403',
    async (type) => {
      const server = await startServer();
      const body = multipart([
        ['operations', OPERATIONS],
        ['map', MAP],
        ['0', 'x', 'x.jpg'],
      ]);
      expect((await post(await open(server), body, { 'content-type': type })).status).toBe(403);
    },
  );

  test('a mutation by GET is refused', async () => {
    const server = await startServer();
    const query = encodeURIComponent('mutation { cancelPrediction(id: "x") { id } }');
    const response = await server.fetch(`/graphql?query=${query}`);
    expect(response.status).toBe(405);
  });

  test.each<[string, string]>([
    ['too deep', `{ ${'models { queue { '.repeat(1)} ${'... on Queue { '.repeat(15)} waiting ${'}'.repeat(15)} } } }`],
    [
      'with too many aliases',
      `{ ${Array.from({ length: 40 }, (_, i) => `a${i}: model(name: "x") { name }`).join(' ')} }`,
    ],
    ['with too many tokens', `{ ${'__typename '.repeat(3_000)} }`],
    [
      'too costly',
      `{ ${Array.from({ length: 25 }, (_, i) => `m${i}: models { queue { workers { id version engine imageMs startedAt } ended { failed } } input { width } }`).join(' ')} }`,
    ],
  ])('a query %s is refused', async (name, query) => {
    const server = await startServer({ env: { MAX_COST: name === 'too costly' ? '500' : '20000' } });
    const { data, errors } = await server.query(query);
    expect(data).toBeUndefined();
    expect(errors!.length).toBeGreaterThan(0);
  });

  test('introspection can be switched off, and then nothing is suggested either', async () => {
    const server = await startServer({ env: { INTROSPECTION: 'off' } });
    const { errors } = await server.query('{ __schema { types { name } } }');
    expect(errors![0]!.message).toContain('introspection');
    const typo = await server.query('{ modelz { name } }');
    expect(typo.errors![0]!.message).not.toContain('Did you mean');
    const open = await startServer();
    expect((await open.query('{ __schema { queryType { name } } }')).data).toEqual({
      __schema: { queryType: { name: 'Query' } },
    });
  });

  test('exceptions are masked', async () => {
    const server = await startServer();
    server.backend.services.listModels = async () => {
      throw new Error('secret: redis://user:password@host');
    };
    const { data, errors, status } = await server.query('{ models { name } }');
    expect(data).toBeNull();
    expect(status).toBe(500);
    expect(errors).toEqual([
      expect.objectContaining({ message: 'Unexpected error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } }),
    ]);
    expect(JSON.stringify(errors)).not.toContain('secret');
  });

  test('labels(topK) out of range is an error of that field alone', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data, errors, status } = await server.upload<{ classifyImage: object }>(
      'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { status result { labels(topK: 99) { name } } } } }',
      [await paint(3)],
    );
    expect(status).toBe(200);
    expect(data.classifyImage).toEqual({ status: 'SUCCEEDED', result: null });
    expect(errors![0]!.extensions).toEqual({ code: 'INVALID_INPUT' });
  });

  test('other origins are told nothing unless they are named', async () => {
    const closed = await startServer();
    const origin = { origin: 'http://friend.test' };
    expect(
      (await closed.fetch('/graphql', jsonRequest('{ __typename }', {}, origin))).headers.has(
        'access-control-allow-origin',
      ),
    ).toBe(false);
    const server = await startServer({ env: { CORS_ORIGINS: 'http://friend.test, http://other.test' } });
    const friend = await server.fetch('/graphql', jsonRequest('{ __typename }', {}, origin));
    expect(friend.headers.get('access-control-allow-origin')).toBe('http://friend.test');
    const stranger = await server.fetch('/graphql', jsonRequest('{ __typename }', {}, { origin: 'http://evil.test' }));
    expect(stranger.headers.get('access-control-allow-origin')).not.toBe('http://evil.test');
    const preflight = await server.fetch('/graphql', {
      method: 'OPTIONS',
      headers: {
        ...origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-graphql-yoga-csrf',
      },
    });
    expect(preflight.headers.get('access-control-allow-headers')).toContain('x-graphql-yoga-csrf');
  });

  test('every response carries the security headers', async () => {
    const server = await startServer();
    for (const path of ['/graphql?query={__typename}', '/health/live', '/nothing']) {
      const { headers } = await server.fetch(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
    }
  });
});

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
    server.backend.drain();
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
    writeFileSync(join(folder, 'assets', 'main-abc123.js'), `console.log(${'1+'.repeat(500)}1)`);
    writeFileSync(join(folder, '..', 'secret.txt'), 'secret');
    return startServer({ env: { WEB_DIR: folder } });
  }

  test('is served at / and at the link of a prediction, with its policy', async () => {
    const server = await startWithPage();
    for (const path of ['/', '/p/resnet50.AbC-_0123456789abcdefg']) {
      const response = await server.fetch(path);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('content-security-policy')).toContain("default-src 'self'");
      expect(response.headers.get('cache-control')).toBe('no-cache');
      expect(await response.text()).toContain('InferQL');
    }
  });

  test('hashed files never change, and are compressed; a known one is not sent again', async () => {
    const server = await startWithPage();
    const response = await server.fetch('/assets/main-abc123.js', { headers: { 'accept-encoding': 'gzip, br' } });
    expect(response.headers.get('cache-control')).toContain('immutable');
    expect(response.headers.get('content-encoding')).toBe('br');
    expect(Number(response.headers.get('content-length'))).toBeLessThan(200);
    const etag = response.headers.get('etag')!;
    expect((await server.fetch('/assets/main-abc123.js', { headers: { 'if-none-match': etag } })).status).toBe(304);
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
  // The path is sent as it stands: fetch would tidy it.
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
    const server = await startServer({ env: { DRAIN_MS: '5000' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const url = await open(server);
    const answer = fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [await paint(8)]));
    while ((await server.backend.services.viewQueue('tiny'))!.processing < 1);
    const drained = server.listener.drain();
    worker.settling.open();
    const response = await answer;
    expect(response.headers.get('connection')).toBe('close');
    expect(await response.json()).toMatchObject({ data: { classifyImage: { status: 'SUCCEEDED' } } });
    await drained;
    await expect(fetch(`${url}/health/live`)).rejects.toThrow();
  });

  test('one whose work outlasts the drain is answered with the present state', async () => {
    const server = await startServer({ env: { DRAIN_MS: '100' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const url = await open(server);
    const answer = fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [await paint(8)]));
    while ((await server.backend.services.viewQueue('tiny'))!.processing < 1);
    await server.listener.drain();
    expect(await (await answer).json()).toMatchObject({
      data: { classifyImage: { status: 'PROCESSING', result: null } },
    });
  });
});
