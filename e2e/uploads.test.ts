import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expectedClass, makePicture, makePng } from '@inferql/testing/data/test-images';
import { send } from '@inferql/testing/system/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { until } from '@inferql/testing/until';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';

let system: TestSystem;

beforeAll(async () => {
  system = await startSystem();
});

afterAll(() => system?.end());

interface Answer {
  __typename: string;
  code?: string;
  argument?: string;
  status?: string;
  result?: { labels: { index: number }[] };
}

const SELECTION = `__typename ... on Prediction { status result { labels(topK: 1) { index } } } ... on Error { code }
  ... on InvalidInputError { argument }`;

async function classify(image: Uint8Array, args = ''): Promise<Answer> {
  const { data, errors, httpStatus } = await send<{ classifyImage: Answer }>(system.url, {
    query: `mutation ($image: Upload!) { classifyImage(image: $image ${args}) { ${SELECTION} } }`,
    variables: { image: null },
    files: { image },
  });
  expect(errors).toBeUndefined();
  expect(httpStatus).toBe(200);
  return data!.classifyImage;
}

test('64 uploads at once each get the right answer', async () => {
  const numbers = Array.from({ length: 64 }, (_, n) => n);
  const answers = await Promise.all(numbers.map((n) => classify(makePicture(n))));
  expect(answers.map(({ result }) => result!.labels[0]!.index)).toEqual(numbers.map(expectedClass));
});

function makePhotograph() {
  return sharp(Buffer.from(Array.from({ length: 300 * 200 * 3 }, (_, i) => (i * 7919) % 251)), {
    raw: { width: 300, height: 200, channels: 3 },
  });
}

test.each(['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'] as const)('%s is taken', async (format) => {
  const image = await makePhotograph().toFormat(format).toBuffer();
  expect(await classify(image)).toMatchObject({ __typename: 'Prediction', status: 'SUCCEEDED' });
});

const bad: [string, () => Promise<Uint8Array> | Uint8Array, string][] = [
  ['an empty file', () => new Uint8Array(), 'EMPTY'],
  ['a text', () => Buffer.from('This is not an image.'), 'UNSUPPORTED_FORMAT'],
  ['HTML', () => Buffer.from('<!doctype html><script>alert(1)</script>'), 'UNSUPPORTED_FORMAT'],
  ['SVG', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'UNSUPPORTED_FORMAT'],
  ['random bytes', () => Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7919) % 256)), 'UNSUPPORTED_FORMAT'],
  [
    'a JPEG cut short',
    async () => {
      const whole = await makePhotograph().jpeg().toBuffer();
      return whole.subarray(0, whole.length / 2);
    },
    'CORRUPT',
  ],
  ['a PNG of 12000 x 12000', () => makePng(12_000, 12_000, [1, 2, 3], 10), 'TOO_MANY_PIXELS'],
  ['a file of 11 MB', () => Buffer.concat([makePicture(1), Buffer.alloc(11 * 1024 * 1024)]), 'TOO_LARGE'],
];

test.each(bad)('%s is refused with a type and a code', async (_, make, code) => {
  expect(await classify(await make())).toEqual({ __typename: 'InvalidImageError', code });
});

test.each([
  ['model: "nobody"', { __typename: 'ModelNotFoundError', code: 'MODEL_NOT_FOUND' }],
  ['topK: 0', { __typename: 'InvalidInputError', code: 'INVALID_INPUT', argument: 'topK' }],
  ['topK: 1001', { __typename: 'InvalidInputError', code: 'INVALID_INPUT', argument: 'topK' }],
  ['timeoutMs: -1', { __typename: 'InvalidInputError', code: 'INVALID_INPUT', argument: 'timeoutMs' }],
  ['idempotencyKey: ""', { __typename: 'InvalidInputError', code: 'INVALID_INPUT', argument: 'idempotencyKey' }],
])('%s is refused', async (args, refusal) => {
  expect(await classify(makePicture(1), args)).toEqual(refusal);
});

test('one bad file among several does not affect the others', async () => {
  const files = {
    'images.0': makePicture(100),
    'images.1': Buffer.from('not an image'),
    'images.2': makePicture(101),
  };
  const { data, errors } = await send<{ classifyImages: Answer[] }>(system.url, {
    query: `mutation ($images: [Upload!]!) { classifyImages(images: $images) { ${SELECTION} } }`,
    variables: { images: [null, null, null] },
    files,
  });
  expect(errors).toBeUndefined();
  expect(data!.classifyImages).toMatchObject([
    { status: 'SUCCEEDED', result: { labels: [{ index: expectedClass(100) }] } },
    { __typename: 'InvalidImageError', code: 'UNSUPPORTED_FORMAT' },
    { status: 'SUCCEEDED', result: { labels: [{ index: expectedClass(101) }] } },
  ]);
});

test('malformed multipart is answered with 400', async () => {
  for (const body of [
    '--x\r\nnonsense',
    '--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{\r\n--x--\r\n',
  ]) {
    const { status } = await fetch(`${system.url}/graphql`, {
      method: 'POST',
      headers: { 'x-graphql-yoga-csrf': '1', 'content-type': 'multipart/form-data; boundary=x' },
      body,
    });
    expect(status).toBe(400);
  }
});

test('a body beyond all limits is answered with 413', async () => {
  const { status } = await fetch(`${system.url}/graphql`, {
    method: 'POST',
    headers: { 'x-graphql-yoga-csrf': '1', 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ models { name } }', filler: 'x'.repeat(512 * 1024) }),
  });
  expect(status).toBe(413);
});

test('an aborted upload leaves nothing behind, and neither do the others', async () => {
  // Too large to be kept in memory, as is the part that is sent below. Refusals that come before the file are tested elsewhere.
  const large = Buffer.concat([makePicture(1), Buffer.alloc(2 * 1024 * 1024)]);
  for (let upload = 0; upload < 20; upload++) await classify(large, 'topK: 0');
  await untilFiles((files) => files.length === 0);
  const { hostname, port } = new URL(system.url);
  const head =
    'POST /graphql HTTP/1.1\r\nhost: x\r\nx-graphql-yoga-csrf: 1\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 3000000\r\n\r\n';
  const operations = JSON.stringify({
    query: 'mutation ($image: Upload!) { classifyImage(image: $image) { __typename } }',
    variables: { image: null },
  });
  const part = (name: string, more: string, body: string) =>
    `--x\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${body}`;
  const body = `${part('operations', '', operations)}\r\n${part('map', '', '{"0":["variables.image"]}')}\r\n${part('0', '; filename="a.png"', 'x'.repeat(1_500_000))}`;
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve) => socket.write(head + body, () => resolve()));
  await untilFiles((files) => files.length > 0);
  socket.destroy();
  await untilFiles((files) => files.length === 0);
});

/** Resolves once the server's folder has such files. */
async function untilFiles(condition: (files: string[]) => boolean): Promise<void> {
  await until(async () => {
    const entries = await readdir(system.serverStateDir, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  }, condition);
}
