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

/** A host while its tests run. */
interface RunningHost extends Host {
  programs: Programs;
  program?: Program;
  origin: string;
  /** Where InferQL is mounted. */
  api: string;
}

/** Defines the tests of one host. */
export function testHost(programs: Programs, options: Host): void {
  describe(options.name, () => {
    const host: RunningHost = { ...options, programs, origin: '', api: '' };
    beforeAll(async () => {
      if (!programs.isInstalled()) return;
      const { name, start } = options;
      const startExample = () => programs.startHost(`${name.toLowerCase()}.mjs`, { redisUrl: programs.redis.url });
      host.program = await (start ?? startExample)();
      host.origin = host.program.found;
      host.api = `${host.origin}/api`;
    }, BUILD_TIMEOUT_MS);
    testUploads(host);
    testSubscriptions(host);
    testOtherRequests(host);
    test('SIGTERM ends it, and no process is left', async ({ skip }) => {
      programs.require(skip);
      // Next.js ends as by the signal.
      expect(await host.program!.stop()).toBe(host.name === 'Next.js' ? 143 : 0);
    });
  });
}

function testUploads(host: RunningHost): void {
  const { name, gray } = host;

  test('an upload answers with its result', async ({ skip }) => {
    host.programs.require(skip);
    const { httpStatus, data } = await send<Classified>(host.api, upload(CLASSIFY, await paint(gray)));
    expect(httpStatus).toBe(200);
    expect(data?.classifyImage).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ name: `gray ${gray}` }] } });
  });

  test('a file over the host’s body limit is accepted', async ({ skip }) => {
    host.programs.require(skip);
    const image = await paint(gray + 1, 1_000);
    expect(image.length).toBeGreaterThan(LARGE_BYTES);
    const { data } = await send<Classified>(host.api, upload(CLASSIFY, image));
    expect(data?.classifyImage.result?.labels[0]?.name).toBe(`gray ${gray + 1}`);
  });

  test('a large upload that is refused early does not break the connection for the next request', async ({ skip }) => {
    host.programs.require(skip);
    // Its map names a variable that is not there.
    const { httpStatus } = await send(host.api, { query: CLASSIFY, files: { image: Buffer.alloc(LARGE_BYTES) } });
    // Yoga's multipart reader finds out later than InferQL's.
    expect(httpStatus).toBe(name === 'Yoga' ? 200 : 400);
    expect((await send(host.api, { query: '{ __typename }' })).httpStatus).toBe(200);
  });
}

function testSubscriptions(host: RunningHost): void {
  const { gray, hasWebSockets } = host;

  test('a subscription over server-sent events ends with the result', async ({ skip }) => {
    host.programs.require(skip);
    const { data } = await send<Classified>(host.api, upload(ENQUEUE, await paint(gray + 2)));
    const states = await collect(subscribeSse<Watched>(host.api, watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
  });

  if (!hasWebSockets) return;
  test('a subscription over a WebSocket ends with the result', async ({ skip }) => {
    host.programs.require(skip);
    const { data } = await send<Classified>(host.api, upload(ENQUEUE, await paint(gray + 3)));
    const socket = openSocket(host.api);
    const states = await collect(socket.subscribe<Watched>(watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
    await socket.close();
  });
}

function testOtherRequests(host: RunningHost): void {
  const { name } = host;

  test('a query is answered; what is not an image or not GraphQL is refused with a code', async ({ skip }) => {
    host.programs.require(skip);
    const models = await send<{ models: { name: string }[] }>(host.api, { query: '{ models { name } }' });
    expect(models.data?.models).toEqual([{ name: 'gray' }]);
    const refused = await send<Classified>(host.api, upload(CLASSIFY, Buffer.from('no image')));
    expect(refused.data?.classifyImage).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    const response = await fetch(`${host.api}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1' },
      body: '{"query":',
    });
    expect(response.status).toBe(400);
  });

  test('the host’s other routes work', async ({ skip }) => {
    host.programs.require(skip);
    if (name === 'Yoga') {
      const { data } = await send<{ hello: string }>(host.api, { query: '{ hello models { name } }' });
      expect(data).toEqual({ hello: 'Yoga', models: [{ name: 'gray' }] });
    } else {
      expect(await (await fetch(`${host.origin}/${name === 'Next.js' ? 'api/' : ''}hello`)).json()).toEqual({
        hello: name,
      });
    }
    for (const path of ['/graphql', '/health/live']) expect((await fetch(`${host.origin}${path}`)).status).toBe(404);
  });
}
