import { describe, expect, test } from 'vitest';
import { parseSmallForm } from './multipart-memory.ts';
import type { UploadedFile } from './uploaded-file.ts';

const LIMITS = { maxFiles: 2, maxFileBytes: 1000, maxFieldBytes: 1000 };
const TYPE = 'multipart/form-data; boundary=----b0und';
const OPERATIONS = '{"query":"mutation","variables":{"image":null}}';

interface Part {
  headers: string;
  content: string | Buffer;
}

const field = (name: string, content: string): Part => ({
  headers: `Content-Disposition: form-data; name="${name}"`,
  content,
});
const file = (name: string, content: string | Buffer): Part => ({
  headers: `Content-Disposition: form-data; name="${name}"; filename="photo.jpg"\r\nContent-Type: image/jpeg`,
  content,
});
const PLAIN = [field('operations', OPERATIONS), field('map', '{"0":["variables.image"]}')];

function makeBody(parts: Part[], end = '------b0und--\r\n'): Buffer {
  const pieces = parts.flatMap(({ headers, content }) => [
    Buffer.from(`------b0und\r\n${headers}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(end)]);
}

const parse = (body: Buffer, { type = TYPE, limits = LIMITS, onFreed = () => {} } = {}) =>
  parseSmallForm(body, type, limits, onFreed);

/** A form that is expected to be understood. */
function parsePlain<T>(body: Buffer, onFreed?: () => void) {
  const { params, parts } = parse(body, onFreed && { onFreed })!;
  return { parts, ...(params as { query: string; variables: T }) };
}

test('a file takes the place that the map names, byte for byte', async () => {
  const bytes = Buffer.from([0, 13, 10, 45, 45, 255, 13, 10, 45, 45, 45]);
  const { query, variables } = parsePlain<{ image: UploadedFile }>(makeBody([...PLAIN, file('0', bytes)]));
  expect(query).toBe('mutation');
  expect(await variables.image.readBytes()).toEqual(bytes);
});

test('several files take their places in a list, in the order of the map', async () => {
  const body = makeBody([
    field('operations', '{"query":"mutation","variables":{"images":[null,null]}}'),
    field('map', '{"b":["variables.images.1"],"a":["variables.images.0"]}'),
    file('a', 'first'),
    file('b', 'second'),
  ]);
  const { variables } = parsePlain<{ images: UploadedFile[] }>(body);
  const texts = await Promise.all(variables.images.map(async (image) => (await image.readBytes()).toString()));
  expect(texts).toEqual(['first', 'second']);
});

test('it tells when the last file was released, by as many as were said to use it', async () => {
  let freed = 0;
  const body = makeBody([
    field('operations', '{"query":"mutation","variables":{"images":[null,null]}}'),
    field('map', '{"a":["variables.images.0"],"b":["variables.images.1"]}'),
    file('a', 'first'),
    file('b', 'second'),
  ]);
  const { parts, variables } = parsePlain<{ images: UploadedFile[] }>(body, () => {
    freed++;
  });
  const [first, second] = variables.images;
  expect(parts.map((part) => part.variables)).toEqual([['images'], ['images']]);
  parts[1]!.expectUses(2);
  first!.release();
  await expect(first!.readBytes()).rejects.toThrow();
  second!.release();
  expect((await second!.readBytes()).toString()).toBe('second');
  expect(freed).toBe(0);
  second!.release();
  expect(freed).toBe(1);
});

describe('what is not of the plainest form is left to the library', () => {
  test.each<[string, Buffer]>([
    ['an empty body', Buffer.alloc(0)],
    ['no file', makeBody(PLAIN)],
    ['a file before the map', makeBody([PLAIN[0]!, file('0', 'x'), PLAIN[1]!])],
    ['fields in the wrong order', makeBody([PLAIN[1]!, PLAIN[0]!, file('0', 'x')])],
    ['a part too many', makeBody([...PLAIN, file('0', 'x'), field('more', 'y')])],
    ['a file that the map does not name', makeBody([...PLAIN, file('1', 'x')])],
    ['two parts of one name', makeBody([...PLAIN, file('0', 'x'), file('0', 'y')])],
    ['operations that are no JSON', makeBody([field('operations', '{'), PLAIN[1]!, file('0', 'x')])],
    ['a batch of operations', makeBody([field('operations', `[${OPERATIONS}]`), PLAIN[1]!, file('0', 'x')])],
    ['operations that pass for a file', makeBody([file('operations', OPERATIONS), PLAIN[1]!, file('0', 'x')])],
    [
      'a variable that is not null',
      makeBody([field('operations', '{"variables":{"image":1}}'), PLAIN[1]!, file('0', 'x')]),
    ],
    ['a place outside the variables', makeBody([PLAIN[0]!, field('map', '{"0":["query"]}'), file('0', 'x')])],
    ['a prototype for a place', makeBody([PLAIN[0]!, field('map', '{"0":["variables.__proto__"]}'), file('0', 'x')])],
    [
      'one file in two places',
      makeBody([PLAIN[0]!, field('map', '{"0":["variables.image","variables.other"]}'), file('0', 'x')]),
    ],
    ['a file over the limit', makeBody([...PLAIN, file('0', Buffer.alloc(1001))])],
    [
      'a transfer encoding',
      makeBody([
        ...PLAIN,
        { headers: `${file('0', '').headers}\r\nContent-Transfer-Encoding: base64`, content: 'eA==' },
      ]),
    ],
    ['no end', makeBody([...PLAIN, file('0', 'x')], '')],
    ['an epilogue', makeBody([...PLAIN, file('0', 'x')], '------b0und--\r\nmore')],
  ])('%s', (_name, body) => expect(parse(body)).toBeUndefined());

  test('another boundary, or none', () => {
    const body = makeBody([...PLAIN, file('0', 'x')]);
    expect(parse(body, { type: 'multipart/form-data; boundary=other' })).toBeUndefined();
    expect(parse(body, { type: 'multipart/form-data' })).toBeUndefined();
  });

  test('a body cut anywhere, without an exception', () => {
    const body = makeBody([...PLAIN, file('0', 'x')]);
    for (let end = 0; end < body.length - 2; end++) expect(parse(body.subarray(0, end))).toBeUndefined();
  });
});
