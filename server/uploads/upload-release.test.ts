/** Whatever becomes of a form, its files are freed with the response: over HTTP, and if the app is called through fetch. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { createSchema, createYoga } from 'graphql-yoga';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeBody, TYPE } from './form.fixture.ts';
import { createFileStores } from './memory-or-disk-store.ts';
import { UploadScalar } from './upload-scalar.ts';
import { useUploads } from './use-uploads.ts';

const FILE_BYTES = 5_000;
const files = createFileStores(1_000_000, tmpdir());
const schema = createSchema({
  typeDefs: 'scalar Upload type Query { ok: Boolean } type Mutation { keep(image: Upload): Boolean }',
  resolvers: {
    Upload: UploadScalar,
    // It never releases the file.
    Mutation: {
      keep: async (_root, { image }) => (await image.readBytes()).length === FILE_BYTES && files.memory.heldBytes() > 0,
    },
  },
});
const formOf = (query: string) =>
  makeBody([
    ['operations', JSON.stringify({ query, variables: { image: null } })],
    ['map', '{"0":["variables.image"]}'],
    ['0', Buffer.alloc(FILE_BYTES), 'x.png'],
  ]);
const KEEP = formOf('mutation ($image: Upload) { keep(image: $image) }');

const makeApp = (maxBodyBytes = KEEP.length) =>
  createYoga({
    schema,
    multipart: false,
    maxRequestBodySize: false,
    logging: false,
    plugins: [useUploads({ maxUploadBytes: FILE_BYTES, maxImages: 1, maxBodyBytes }, files)],
  });
const app = makeApp();
const server = createServer(app);
const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const ways = {
  HTTP: (init: RequestInit) => fetch(url(), init),
  fetch: (init: RequestInit) => Promise.resolve(app.fetch(new Request('http://localhost/graphql', init))),
};

for (const [way, send] of Object.entries(ways)) {
  test.each([
    ['an operation that keeps it', KEEP, { data: { keep: true } }],
    ['an operation that does not use it', formOf('query { ok }'), { data: { ok: null } }],
    ['a document that is not valid', formOf('query { no }'), { errors: [{}] }],
  ])(`after %s (${way})`, async (_what, body, answer) => {
    const response = await send({ method: 'POST', headers: { 'content-type': TYPE }, body: new Uint8Array(body) });
    expect(await response.json()).toMatchObject(answer);
    await expect.poll(() => files.memory.heldBytes()).toBe(0);
  });
}

test('the name of the content type may have capital letters, and a body may be as long as the limit', async () => {
  const headers = { 'content-type': TYPE.replace('multipart/form-data', 'Multipart/Form-Data') };
  const init = { method: 'POST', headers, body: new Uint8Array(KEEP) };
  expect((await ways.HTTP(init)).status).toBe(200);
  const shorter = makeApp(KEEP.length - 1);
  const announced = { ...headers, 'content-length': `${KEEP.length}` };
  const refusal = await shorter.fetch(new Request('http://localhost/graphql', { ...init, headers: announced }));
  expect(refusal.status).toBe(413);
  expect(files.memory.heldBytes()).toBe(0);
});
