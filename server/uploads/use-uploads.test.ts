import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { MAP, MULTIPART_HEADERS, multipart, OPERATIONS, open, post, send } from '../test/http-harness.ts';
import { CLASSIFY, paint, startServer, startWorker } from '../test/server-harness.ts';

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
      create: { width: 12_000, height: 12_000, channels: 3, background: 'gray' },
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
      if (code === 'TOO_LARGE') expect(text).toContain('The file is larger than the 10 MiB that this server accepts.');
    }
    await server.uploadDirEmptied();
  });

  test('a file of exactly the limit passes, one byte more does not', async () => {
    const image = await paint(100, 64);
    const server = await startServer({ env: { INFERQL_MAX_UPLOAD_BYTES: String(image.length + 10) } });
    await startWorker(server.prefix);
    const padded = (bytes: number) => Buffer.concat([image, Buffer.alloc(bytes)]);
    const fits = await server.upload<{ classifyImage: object }>(CLASSIFY, [padded(10)]);
    expect(fits.data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
    const exceeds = await server.upload<{ classifyImage: object }>(CLASSIFY, [padded(11)]);
    expect(exceeds.data.classifyImage).toMatchObject({ code: 'TOO_LARGE' });
  });

  test('a file over the limit is answered while it still streams', async () => {
    const server = await startServer({ env: { INFERQL_MAX_UPLOAD_BYTES: '1000' } });
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
    await server.uploadDirEmptied();
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
    await server.uploadDirEmptied();
  });

  const whole: [string, Buffer | string, string?][] = [
    ['operations', OPERATIONS],
    ['map', MAP],
    ['0', 'x', 'x.jpg'],
  ];
  test.each<[string, Buffer]>([
    ['garbage', Buffer.from('this is not a multipart body')],
    ['nothing', Buffer.alloc(0)],
    [
      'operations that are not JSON',
      multipart([
        ['operations', '{'],
        ['map', MAP],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'operations that are not an object',
      multipart([
        ['operations', '"x"'],
        ['map', MAP],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'a map that is not JSON',
      multipart([
        ['operations', OPERATIONS],
        ['map', '['],
        ['0', 'x', 'x.jpg'],
      ]),
    ],
    [
      'a map that is not an object',
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
    await server.uploadDirEmptied();
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
    const server = await startServer({ env: { INFERQL_MAX_BODY_BYTES: '100000' } });
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
    const { status, text } = await post(await open(server), body, headers);
    expect(status).toBe(413);
    expect(text).toContain('The request is larger than the 100 kB that this server accepts.');
    await server.uploadDirEmptied();
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

  test('a plain object is not accepted as a file', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data, errors } = await server.query(CLASSIFY, { image: { file: 'x', promise: {} } });
    expect(data).toBeUndefined();
    expect(errors![0]!.message).toContain('multipart');
  });
});
