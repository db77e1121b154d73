import { describe, expect, test } from 'vitest';
import { MULTIPART_HEADERS, multipart, open, post, send } from '../test/http-harness.ts';
import { CLASSIFY, paint, startServer, startWorker } from '../test/server-harness.ts';

const TWICE = `mutation ($image: Upload!, $first: String, $second: String) {
  a: classifyImage(image: $image, model: $first) { ...Answer }
  b: classifyImage(image: $image, model: $second) { ...Answer }
}
fragment Answer on ClassifyImageResult { __typename
  ... on Prediction { status result { labels(topK: 1) { index } } } ... on Error { code } }`;

const form = (variables: object, map: object, file: Buffer, query = TWICE) =>
  multipart([
    ['operations', JSON.stringify({ query, variables })],
    ['map', JSON.stringify(map)],
    ['0', file, 'x.png'],
  ]);

const answer = (index: number) => ({ __typename: 'Prediction', status: 'SUCCEEDED', result: { labels: [{ index }] } });
const unknown = { __typename: 'ModelNotFoundError', code: 'MODEL_NOT_FOUND' };

describe.each([
  ['in memory', 0],
  ['on disk', 1_500_000],
])('one file, kept %s, for several arguments', (_name, padding) => {
  const picture = async (red: number) => Buffer.concat([await paint(red), Buffer.alloc(padding)]);

  test('a variable that two fields take is read by both', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const body = form({ image: null }, { 0: ['variables.image'] }, await picture(70));
    const { status, text } = await post(await open(server), body);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual({ data: { a: answer(70), b: answer(70) } });
    await server.uploadDirEmptied();
  });

  test('a field that never reads it does not affect the other', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await open(server);
    for (const [first, second, data] of [
      ['nobody', undefined, { a: unknown, b: answer(71) }],
      [undefined, 'nobody', { a: answer(71), b: unknown }],
    ] as const) {
      const body = form({ image: null, first, second }, { 0: ['variables.image'] }, await picture(71));
      expect(JSON.parse((await post(url, body)).text)).toEqual({ data });
    }
    await server.uploadDirEmptied();
  });

  test('a list that contains it twice, and another variable', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const query = `mutation ($images: [Upload!]!, $image: Upload!) {
      a: classifyImages(images: $images) { ... on Prediction { result { labels(topK: 1) { index } } } }
      b: classifyImages(images: [$image, $image]) { ... on Prediction { result { labels(topK: 1) { index } } } } }`;
    const places = ['variables.images.0', 'variables.images.1', 'variables.image'];
    const body = form({ images: [null, null], image: null }, { 0: places }, await picture(72), query);
    const both = [{ result: { labels: [{ index: 72 }] } }, { result: { labels: [{ index: 72 }] } }];
    expect(JSON.parse((await post(await open(server), body)).text)).toEqual({ data: { a: both, b: both } });
    await server.uploadDirEmptied();
  });

  test('it is gone before the last one waits', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const body = form({ image: null, first: 'nobody' }, { 0: ['variables.image'] }, await picture(73));
    const reply = post(await open(server), body);
    await server.queueBecame(({ processing }) => processing === 1);
    await server.uploadDirEmptied();
    worker.settling.open();
    expect(JSON.parse((await reply).text)).toEqual({ data: { a: unknown, b: answer(73) } });
  });
});

test('uploads that arrive slowly do not keep others from the decoder', async () => {
  const server = await startServer({ env: { INFERQL_DECODE_CONCURRENCY: '1', INFERQL_UPLOAD_MEMORY_BYTES: '0' } });
  await startWorker(server.prefix);
  const url = await open(server);
  const body = form({ image: null }, { 0: ['variables.image'] }, await paint(74), CLASSIFY);
  const begun = body.subarray(0, body.length - 50);
  const slow = Array.from({ length: 3 }, () => send(url, { ...MULTIPART_HEADERS, 'transfer-encoding': 'chunked' }));
  for (const { outgoing } of slow) await new Promise<void>((resolve) => outgoing.write(begun, () => resolve()));
  await server.uploadDirFilled(slow.length);
  const quick = await server.upload<{ classifyImage: object }>(CLASSIFY, [await paint(75)]);
  expect(quick.data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
  for (const { outgoing } of slow) outgoing.end(body.subarray(begun.length));
  for (const { answer: late } of slow) expect((await late).text).toContain('"index":74');
  await server.uploadDirEmptied();
});

test('a file that cannot be written to disk is a fault of the server, not of the request', async () => {
  const server = await startServer({ uploadDir: '/nowhere' });
  await startWorker(server.prefix);
  const file = Buffer.concat([await paint(76), Buffer.alloc(1_500_000)]);
  const { status, text } = await post(
    await open(server),
    form({ image: null }, { 0: ['variables.image'] }, file, CLASSIFY),
  );
  expect(status).toBe(500);
  expect(JSON.parse(text).errors[0]).toMatchObject({
    message: 'Unexpected error.',
    extensions: { code: 'INTERNAL_SERVER_ERROR' },
  });
});

test.each([
  ['read', CLASSIFY],
  ['not read', 'mutation ($image: Upload!) { nothing(image: $image) }'],
])('of several parts with one name the first counts, and none leaves a file (%s)', async (_name, query) => {
  const server = await startServer();
  await startWorker(server.prefix);
  const url = await open(server);
  const parts = await Promise.all(
    [77, 78, 79].map(async (red) => ['0', await paint(red), 'x.png'] as [string, Buffer, string]),
  );
  const body = multipart([
    ['operations', JSON.stringify({ query, variables: { image: null } })],
    ['map', '{"0":["variables.image"]}'],
    ...parts,
  ]);
  const { text } = await post(url, body);
  expect(text).toContain(query === CLASSIFY ? '"index":77' : 'GRAPHQL_VALIDATION_FAILED');
  await server.uploadDirEmptied();
});
