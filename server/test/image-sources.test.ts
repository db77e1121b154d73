/** Images from URLs and data URLs, through a whole server. */
import type { RequestListener } from 'node:http';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { startHost, writeForever } from '../sources/image-host.fixture.ts';
import { post } from './http-harness.ts';
import { startServer, startWorker } from './server-harness.ts';

const ANSWER =
  '{ __typename ... on Prediction { status result { labels(topK: 1) { name } } } ... on Error { code message } }';
const BY_SOURCE = `mutation ($source: ImageInput) { classifyImage(source: $source) ${ANSWER} }`;

interface Data {
  classifyImage: {
    __typename: string;
    status?: string;
    result?: { labels: { name: string }[] };
    code?: string;
    message?: string;
  };
}

/** The worker answers by the first byte of the pixels. */
const solid = (red: number) =>
  sharp({ create: { width: 40, height: 30, channels: 3, background: { r: red, g: 0, b: 0 } } })
    .png()
    .toBuffer();

async function startSystem(env: Record<string, string> = {}) {
  const server = await startServer({ env });
  await startWorker(server.prefix);
  const classify = async (source: object) => (await server.query<Data>(BY_SOURCE, { source })).data.classifyImage;
  return { server, classify };
}

const SUCCEEDED = (red: number) => ({ status: 'SUCCEEDED', result: { labels: [{ name: `red ${red}` }] } });

describe('a URL', () => {
  test('of a listed host is classified, also after redirects', async () => {
    const image = await solid(77);
    const agents: (string | undefined)[] = [];
    const { host, url } = await startHost((request, response) => {
      agents.push(request.headers['user-agent']);
      if (request.url === '/old') response.writeHead(302, { location: '/older' }).end();
      else if (request.url === '/older') response.writeHead(308, { location: `${url}/image` }).end();
      else response.end(image);
    });
    const { classify, server } = await startSystem({
      INFERQL_IMAGE_URLS: 'allowlist',
      INFERQL_IMAGE_URL_HOSTS: host,
    });
    expect(await classify({ url: `${url}/old` })).toMatchObject(SUCCEEDED(77));
    expect(agents).toEqual(['InferQL', 'InferQL', 'InferQL']);
    await server.uploadDirEmptied();
  });

  test('is refused by default, and nothing is requested', async () => {
    const { url, countConnections } = await startHost(() => undefined);
    const { classify } = await startSystem();
    expect(await classify({ url })).toMatchObject({ __typename: 'ImageUrlError', code: 'IMAGE_URL_REFUSED' });
    expect(countConnections()).toBe(0);
  });

  test('of a private host is refused with https, and nothing is requested', async () => {
    const { url, countConnections } = await startHost(() => undefined);
    const { classify } = await startSystem({ INFERQL_IMAGE_URLS: 'https' });
    for (const text of [url, url.replace('http:', 'https:'), 'https://localhost/', 'https://[::1]/']) {
      expect(await classify({ url: text })).toMatchObject({ code: 'IMAGE_URL_REFUSED' });
    }
    expect(countConnections()).toBe(0);
  });

  test('may not lead to a host that is not listed', async () => {
    const secret = await startHost(() => undefined);
    const { host, url } = await startHost((_request, response) => {
      response.writeHead(302, { location: secret.url }).end();
    });
    const { classify } = await startSystem({ INFERQL_IMAGE_URLS: 'allowlist', INFERQL_IMAGE_URL_HOSTS: host });
    expect(await classify({ url })).toMatchObject({ code: 'IMAGE_URL_REFUSED' });
    expect(secret.countConnections()).toBe(0);
  });

  test.each<[string, RequestListener, string]>([
    ['that redirects forever', (_q, response) => response.writeHead(302, { location: '/' }).end(), 'IMAGE_URL_FAILED'],
    ['with another status', (_q, response) => response.writeHead(404).end('internal page'), 'IMAGE_URL_FAILED'],
    [
      'that ends too early',
      (_q, response) => void response.writeHead(200, { 'content-length': 9 }).write('x', () => response.destroy()),
      'IMAGE_URL_FAILED',
    ],
    [
      'with a compressed body',
      (_q, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      'IMAGE_URL_FAILED',
    ],
    [
      'with too much announced',
      (_q, response) => void response.writeHead(200, { 'content-length': 2_000_000 }).flushHeaders(),
      'TOO_LARGE',
    ],
    ['that never ends', (_q, response) => writeForever(response), 'TOO_LARGE'],
    ['with a page', (_q, response) => response.end('<!doctype html><p>secret'), 'UNSUPPORTED_FORMAT'],
    ['with nothing', (_q, response) => response.end(), 'EMPTY'],
  ])('%s is an error of the result', async (_name, listener, code) => {
    const { host, url } = await startHost(listener);
    const { classify, server } = await startSystem({
      INFERQL_IMAGE_URLS: 'allowlist',
      INFERQL_IMAGE_URL_HOSTS: host,
      INFERQL_MAX_UPLOAD_BYTES: '1000000',
    });
    const answer = await classify({ url });
    expect(answer).toMatchObject({ code });
    expect(answer.message).not.toMatch(/404|internal|secret|127\.0\.0\.1|gzip/);
    await server.uploadDirEmptied();
  });

  test('of a host that is not there fails', async () => {
    const { host, url } = await startHost(() => undefined);
    const { classify } = await startSystem({
      INFERQL_IMAGE_URLS: 'allowlist',
      INFERQL_IMAGE_URL_HOSTS: `${host},127.0.0.1:1`,
    });
    expect(await classify({ url: url.replace(host, '127.0.0.1:1') })).toMatchObject({ code: 'IMAGE_URL_FAILED' });
  });
});

describe('a data URL', () => {
  test('is classified, small or far larger than a query may be', async () => {
    const { classify, server } = await startSystem();
    const small = await solid(12);
    expect(await classify({ dataUrl: `data:image/png;base64,${small.toString('base64')}` })).toMatchObject(
      SUCCEEDED(12),
    );
    const large = await sharp({
      create: {
        width: 1_000,
        height: 1_000,
        channels: 3,
        background: { r: 0, g: 0, b: 0 },
        noise: { type: 'gaussian', mean: 128, sigma: 40 },
      },
    })
      .png()
      .toBuffer();
    expect(large.length).toBeGreaterThan(4 * server.config.maxQueryBytes);
    const url = await server.listener.listen();
    const body = Buffer.from(
      JSON.stringify({
        query: BY_SOURCE,
        variables: { source: { dataUrl: `data:;base64,${large.toString('base64')}` } },
      }),
    );
    const headers = { 'content-type': 'application/json', accept: 'application/json', 'x-graphql-yoga-csrf': '1' };
    const answer = await post(url, body, headers);
    expect(JSON.parse(answer.text).data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
    await expect.poll(() => server.components.files.memory.heldBytes()).toBe(0);
  });

  test.each([
    ['not a data URL', 'https://example.org/a.png', 'INVALID_INPUT'],
    ['not base64', 'data:image/svg+xml,%3Csvg/%3E', 'INVALID_INPUT'],
    ['wrong base64', 'data:image/png;base64,a*b', 'INVALID_INPUT'],
    ['without bytes', 'data:image/png;base64,', 'EMPTY'],
    ['not an image', `data:image/png;base64,${Buffer.from('hello world').toString('base64')}`, 'UNSUPPORTED_FORMAT'],
    ['too large', `data:image/png;base64,${'A'.repeat(20_000)}`, 'TOO_LARGE'],
  ])('that is %s is an error of the result', async (_name, dataUrl, code) => {
    const { classify } = await startSystem({ INFERQL_MAX_UPLOAD_BYTES: '10000' });
    expect(await classify({ dataUrl })).toMatchObject({ code });
  });

  test('waits for memory that other bodies hold', async () => {
    const server = await startServer({ env: { INFERQL_UPLOAD_MEMORY_BYTES: '100000' } });
    const { status, errors } = await server.query(BY_SOURCE, {
      source: { dataUrl: `data:;base64,${'A'.repeat(900_000)}` },
    });
    expect(status).toBe(503);
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 1_000 });
    expect(server.components.files.memory.heldBytes()).toBe(0);
  });

  test('does not let a query be longer', async () => {
    const server = await startServer();
    const { status } = await server.query(`{ __typename } #${'a'.repeat(300_000)}`);
    expect(status).toBe(413);
  });
});

describe('exactly one image', () => {
  const both = `mutation ($image: Upload, $source: ImageInput) { classifyImage(image: $image, source: $source) ${ANSWER} }`;

  test('in a source may be an upload', async () => {
    const { server } = await startSystem();
    const query = `mutation ($image: Upload!) { classifyImage(source: { upload: $image }) ${ANSWER} }`;
    const { data } = await server.upload<Data>(query, [await solid(5)]);
    expect(data.classifyImage).toMatchObject(SUCCEEDED(5));
    await server.uploadDirEmptied();
  });

  test('is needed', async () => {
    const { server } = await startSystem();
    for (const variables of [{}, { image: null }, { source: null }]) {
      const { data } = await server.query<Data>(both, variables);
      expect(data.classifyImage).toMatchObject({ __typename: 'InvalidInputError', code: 'INVALID_INPUT' });
    }
  });

  test('is enough', async () => {
    const { server } = await startSystem();
    const { data } = await server.upload<Data>(both, [await solid(5)], { source: { dataUrl: 'data:;base64,AAAA' } });
    expect(data.classifyImage).toMatchObject({
      code: 'INVALID_INPUT',
      message: 'Pass either image or source, not both.',
    });
    await server.uploadDirEmptied();
    const twice = await server.query(BY_SOURCE, { source: { dataUrl: 'data:;base64,AAAA', url: 'https://a.test' } });
    expect(twice.status).toBe(400);
  });
});
