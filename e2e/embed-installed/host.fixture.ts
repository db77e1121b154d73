/** What each program with InferQL inside must do. */

import type { Program } from '@inferql/testing/packages/installed-packages';
import { collect, openSocket, send, subscribeSse } from '@inferql/testing/system/graphql-client';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  CLASSIFY,
  type Classified,
  ENQUEUE,
  isOneEnd,
  type Programs,
  paint,
  upload,
  type Watched,
  watch,
} from './programs.fixture.ts';

const BUILD_TIMEOUT_MS = 240_000;
/** More than the body limits of Express (100 KiB) and Fastify (1 MiB). */
const LARGE_BYTES = 2_000_000;

interface Host {
  name: string;
  /** The first of the grays that its images have. Those of each host differ, so that every answer is computed. */
  gray: number;
  hasWebSockets: boolean;
  /** @default the example of that name */
  start?(): Promise<Program>;
}

/** Defines the tests of one host. */
export function testHost(programs: Programs, options: Host): void {
  describe(options.name, () => defineTests(programs, options));
}

function defineTests(programs: Programs, { name, gray, hasWebSockets, start }: Host): void {
  let host: Program | undefined;
  let origin = '';
  let api = '';

  beforeAll(async () => {
    if (!programs.isInstalled()) return;
    host = await (start ? start() : programs.startHost(`${name.toLowerCase()}.mjs`, { redisUrl: programs.redis.url }));
    origin = host.found;
    api = `${origin}/api`;
  }, BUILD_TIMEOUT_MS);

  test('an upload answers with its result', async ({ skip }) => {
    programs.require(skip);
    const { httpStatus, data } = await send<Classified>(api, upload(CLASSIFY, await paint(gray)));
    expect(httpStatus).toBe(200);
    expect(data?.classifyImage).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ name: `gray ${gray}` }] } });
  });

  test('a file over the host’s body limit is accepted', async ({ skip }) => {
    programs.require(skip);
    const image = await paint(gray + 1, 1_000);
    expect(image.length).toBeGreaterThan(LARGE_BYTES);
    const { data } = await send<Classified>(api, upload(CLASSIFY, image));
    expect(data?.classifyImage.result?.labels[0]?.name).toBe(`gray ${gray + 1}`);
  });

  test('a subscription over server-sent events ends with the result', async ({ skip }) => {
    programs.require(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(gray + 2)));
    const states = await collect(subscribeSse<Watched>(api, watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
  });

  const testWithWebSockets = hasWebSockets ? test : () => undefined;
  testWithWebSockets('a subscription over a WebSocket ends with the result', async ({ skip }) => {
    programs.require(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(gray + 3)));
    const socket = openSocket(api);
    const states = await collect(socket.subscribe<Watched>(watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
    await socket.close();
  });

  test('a query is answered; what is not an image or not GraphQL is refused with a code', async ({ skip }) => {
    programs.require(skip);
    const models = await send<{ models: { name: string }[] }>(api, { query: '{ models { name } }' });
    expect(models.data?.models).toEqual([{ name: 'gray' }]);
    const refused = await send<Classified>(api, upload(CLASSIFY, Buffer.from('no image')));
    expect(refused.data?.classifyImage).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    const response = await fetch(`${api}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1' },
      body: '{"query":',
    });
    expect(response.status).toBe(400);
  });

  test('the host’s other routes work', async ({ skip }) => {
    programs.require(skip);
    if (name === 'Yoga') {
      const { data } = await send<{ hello: string }>(api, { query: '{ hello models { name } }' });
      expect(data).toEqual({ hello: 'Yoga', models: [{ name: 'gray' }] });
    } else {
      expect(await (await fetch(`${origin}/${name === 'Next.js' ? 'api/' : ''}hello`)).json()).toEqual({ hello: name });
    }
    for (const path of ['/graphql', '/health/live']) expect((await fetch(`${origin}${path}`)).status).toBe(404);
  });

  test('a large upload that is refused early does not break the connection for the next request', async ({ skip }) => {
    programs.require(skip);
    // Its map names a variable that is not there.
    const { httpStatus } = await send(api, { query: CLASSIFY, files: { image: Buffer.alloc(LARGE_BYTES) } });
    // Yoga's multipart reader finds out later than InferQL's.
    expect(httpStatus).toBe(name === 'Yoga' ? 200 : 400);
    expect((await send(api, { query: '{ __typename }' })).httpStatus).toBe(200);
  });

  test('SIGTERM ends it, and no process is left', async ({ skip }) => {
    programs.require(skip);
    // Next.js ends as by the signal.
    expect(await host!.stop()).toBe(name === 'Next.js' ? 143 : 0);
  });
}
