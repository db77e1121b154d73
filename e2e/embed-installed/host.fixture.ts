/** What each program with InferQL inside must do. */
import { collect, openSocket, send, subscribeSse } from '@inferql/testing/graphql-client';
import type { Program } from '@inferql/testing/installed';
import { beforeAll, expect, test } from 'vitest';
import {
  CLASSIFY,
  type Classified,
  ENQUEUE,
  isOneEnd,
  type Programs,
  paint,
  setUpPrograms,
  upload,
  type Watched,
  watch,
} from './programs.fixture.ts';

const BUILD_TIMEOUT_MS = 240_000;
/** More than the body limits of Express (100 KiB) and Fastify (1 MiB). */
const LARGE_BYTES = 2_000_000;

interface Host {
  name: string;
  hasWebSockets: boolean;
  /** @default the example of that name */
  start?(programs: Programs): Promise<Program>;
}

/** Defines the tests of one host. */
export function testHost({ name, hasWebSockets, start }: Host): void {
  const programs = setUpPrograms();
  let host: Program | undefined;
  let origin = '';
  let api = '';

  beforeAll(async () => {
    if (!programs.isInstalled()) return;
    host = await (start
      ? start(programs)
      : programs.startHost(`${name.toLowerCase()}.mjs`, { redisUrl: programs.redis.url }));
    origin = host.found;
    api = `${origin}/api`;
  }, BUILD_TIMEOUT_MS);

  test('an upload answers with its result', async ({ skip }) => {
    programs.require(skip);
    const { httpStatus, data } = await send<Classified>(api, upload(CLASSIFY, await paint(31)));
    expect(httpStatus).toBe(200);
    expect(data?.classifyImage).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ name: 'gray 31' }] } });
  });

  test('a file over the host’s body limit is accepted', async ({ skip }) => {
    programs.require(skip);
    const image = await paint(7, 1_000);
    expect(image.length).toBeGreaterThan(LARGE_BYTES);
    const { data } = await send<Classified>(api, upload(CLASSIFY, image));
    expect(data?.classifyImage.result?.labels[0]?.name).toBe('gray 7');
  });

  test('a subscription over server-sent events ends with the result', async ({ skip }) => {
    programs.require(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(32)));
    const states = await collect(subscribeSse<Watched>(api, watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
  });

  const testWithWebSockets = hasWebSockets ? test : () => undefined;
  testWithWebSockets('a subscription over a WebSocket ends with the result', async ({ skip }) => {
    programs.require(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(33)));
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
