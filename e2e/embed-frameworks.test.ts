/** The server inside applications of other frameworks: the files of examples/embed/, each on a port. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHost as createExpressHost } from '@inferql/examples/embed/express';
import { createHost as createFastifyHost } from '@inferql/examples/embed/fastify';
import { createHost as createHonoHost } from '@inferql/examples/embed/hono';
import type { InferQL, InferQLOptions } from '@inferql/server';
import { collect, type Operation, openSocket, send, subscribeSse, type Upload } from '@inferql/testing/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system';
import { expectedClass, makePicture } from '@inferql/testing/test-images';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

interface Host {
  server: Server;
  inferql: InferQL;
}

type CreateHost = (options: InferQLOptions) => Host | Promise<Host>;

interface Classified {
  classifyImage: { id: string; status: string; result: { labels: { name: string }[] } | null };
}

interface Watched {
  prediction: { status: string };
}

const HOSTS: [string, CreateHost][] = [
  ['Express', createExpressHost],
  ['Fastify', createFastifyHost],
  ['Hono', createHonoHost],
];
/** More than Express (100 KiB) and Fastify (1 MiB) let a body have. */
const LARGE_BYTES = 2_000_000;

const CLASSIFY = `mutation ($image: Upload!) {
  classifyImage(image: $image) { ... on Prediction { id status result { labels(topK: 1) { name } } } ... on Error { code message } }
}`;
const ENQUEUE = `mutation ($image: Upload!) {
  classifyImage(image: $image) { ... on Prediction { id status } ... on Error { code message } }
}`;

let system: TestSystem;

beforeAll(async () => {
  system = await startSystem({ servers: 0 });
});

afterAll(() => system?.end());

const classifying = (image: Uint8Array): Upload => ({ query: CLASSIFY, variables: { image: null }, files: { image } });
const queueing = (image: Uint8Array): Upload => ({ query: ENQUEUE, variables: { image: null }, files: { image } });
const watch = (id: string): Operation => ({
  query: 'subscription ($id: ID!) { prediction(id: $id) { status } }',
  variables: { id },
});

const isOneEnd = (statuses: (string | undefined)[]) =>
  statuses.at(-1) === 'SUCCEEDED' && !statuses.slice(0, -1).includes('SUCCEEDED');

describe.each(HOSTS)('%s', (name, createHost) => {
  let host: Host;
  let origin: string;
  let api: string;

  beforeAll(async () => {
    host = await createHost({ redisUrl: system.redis.url });
    host.server.listen(0, '127.0.0.1');
    await once(host.server, 'listening');
    origin = `http://127.0.0.1:${(host.server.address() as AddressInfo).port}`;
    api = `${origin}/api`;
  });

  afterAll(async () => {
    await host?.inferql.stop();
    host?.server.closeAllConnections();
    host?.server.close();
  });

  test('an upload answers with its result', async () => {
    const { httpStatus, data } = await send<Classified>(api, classifying(makePicture(321)));
    expect(httpStatus).toBe(200);
    expect(data?.classifyImage).toMatchObject({
      status: 'SUCCEEDED',
      result: { labels: [{ name: `class ${expectedClass(321)}` }] },
    });
  });

  test("a file over the host's own limit of a body arrives", async () => {
    const background = { r: 7, g: 1, b: 0 };
    const image = await sharp({ create: { width: 1_000, height: 1_000, channels: 3, background } })
      .png({ compressionLevel: 0 })
      .toBuffer();
    expect(image.length).toBeGreaterThan(LARGE_BYTES);
    const { data } = await send<Classified>(api, classifying(image));
    expect(data?.classifyImage.result?.labels[0]?.name).toBe(`class ${7 + 256}`);
  });

  test('a subscription over server-sent events ends with the result', async () => {
    const { data } = await send<Classified>(api, queueing(makePicture(322)));
    const states = await collect(subscribeSse<Watched>(api, watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
  });

  test('a subscription over a WebSocket ends with the result', async () => {
    const { data } = await send<Classified>(api, queueing(makePicture(323)));
    const socket = openSocket(api);
    const states = await collect(socket.subscribe<Watched>(watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
    await socket.close();
  });

  test('what is not an image, and what is not GraphQL, are refused with a code', async () => {
    const refused = await send<Classified>(api, classifying(Buffer.from('no image')));
    expect(refused.data?.classifyImage).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    const response = await fetch(`${api}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1' },
      body: '{"query":',
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] });
  });

  test('a large upload that is refused early does not cost the next request its connection', async () => {
    const image = Buffer.alloc(LARGE_BYTES);
    // Its map names a variable that is not there, which is known before the file has come.
    const { httpStatus } = await send(api, { query: CLASSIFY, files: { image } });
    expect(httpStatus).toBe(400);
    expect((await send(api, { query: '{ __typename }' })).httpStatus).toBe(200);
  });

  test('other routes belong to the host', async () => {
    expect(await (await fetch(`${origin}/hello`)).json()).toEqual({ hello: name });
    const echoed = await fetch(`${origin}/echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"text":"kept"}',
    });
    expect(await echoed.json()).toEqual({ text: 'kept' });
    for (const path of ['/graphql', '/health/live', '/']) {
      const missing = await fetch(`${origin}${path}`);
      expect(missing.status).toBe(404);
      expect(await missing.text()).not.toContain('InferQL');
    }
  });
});
