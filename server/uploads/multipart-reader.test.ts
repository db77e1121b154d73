import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { GraphQLError } from 'graphql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS, MAP, makeBody, OPERATIONS, type Part, PLAIN, splitBody, TYPE } from './form.fixture.ts';
import { createMemoryBudget, FileStore } from './memory-or-disk-store.ts';
import { readForm } from './multipart-reader.ts';
import { UploadScalar } from './upload-scalar.ts';

let uploadDir = '';
beforeEach(() => {
  uploadDir = mkdtempSync(join(tmpdir(), 'inferql-form-'));
});
afterEach(() => rmSync(uploadDir, { recursive: true, force: true }));

function read(body: Buffer, { memoryBytes = 10_000_000, type = TYPE, pieceBytes = 65_536 } = {}) {
  const memory = createMemoryBudget(memoryBytes);
  const store = () => new FileStore(memory, uploadDir);
  const form = readForm(splitBody(body, pieceBytes), { 'content-type': type }, LIMITS, store);
  return { form, memory };
}

async function readFile(body: Buffer, options: Parameters<typeof read>[1] = {}) {
  const { form, memory } = read(body, options);
  const { params, parts } = await form;
  return { params, part: parts[0]!, bytes: await parts[0]!.file.readBytes(), memory };
}

test('a text field in an unknown character set is refused with a message', async () => {
  const head = '--b0und\r\ncontent-disposition: form-data; name="operations"\r\ncontent-type: text/plain; charset=';
  const field = (charset: string) => Buffer.from(`${head}${charset}\r\n\r\n${OPERATIONS}\r\n`);
  const rest = makeBody([
    ['map', MAP],
    ['0', 'x', 'x.png'],
  ]);
  for (const charset of ['utf-7', 'x'.repeat(500)]) {
    const refusal = await read(Buffer.concat([field(charset), rest])).form.catch((error: GraphQLError) => error);
    expect(refusal).toMatchObject({ message: expect.stringContaining('UTF-8'), extensions: { code: 'BAD_REQUEST' } });
  }
  const { params } = await read(Buffer.concat([field('utf-8'), rest])).form;
  expect(params).toMatchObject({ query: 'mutation' });
});

describe('a file', () => {
  test.each([1, 7, 1_000, 65_536])('is put where the map says, byte for byte, in chunks of %i', async (pieceBytes) => {
    const content = Buffer.from([0, 13, 10, 45, 45, 255, 13, 10, 45, 45, 98, 48, 45, 13]);
    const { params, bytes } = await readFile(makeBody([...PLAIN, ['0', content, 'x.jpg']]), { pieceBytes });
    expect(bytes).toEqual(content);
    const { image } = params.variables as { image: unknown };
    expect(UploadScalar.parseValue(image)).toHaveProperty('readBytes');
  });

  test.each([
    ['in memory while it is small', 900_000, 10_000_000, 0, 900_000],
    ['on disk when it is large', 1_500_000, 10_000_000, 1, 0],
    ['on disk when the memory of all is taken', 900_000, 500_000, 1, 0],
  ])('is kept %s, and gone when it is released', async (_name, size, memoryBytes, files, held) => {
    const content = Buffer.alloc(size, 7);
    const { part, bytes, memory } = await readFile(makeBody([...PLAIN, ['0', content, 'x.jpg']]), { memoryBytes });
    expect(bytes.equals(content)).toBe(true);
    expect((await part.file.readBytes()).equals(content)).toBe(true);
    expect(readdirSync(uploadDir)).toHaveLength(files);
    expect(memory.heldBytes()).toBe(held);
    part.file.release();
    expect(memory.heldBytes()).toBe(0);
    await expect.poll(() => readdirSync(uploadDir)).toEqual([]);
    await expect(part.file.readBytes()).rejects.toThrow();
  });

  test('that exceeds the limit is refused, and leaves nothing', async () => {
    const { form, memory } = read(makeBody([...PLAIN, ['0', Buffer.alloc(LIMITS.maxFileBytes + 1), 'x.jpg']]));
    const [part] = (await form).parts;
    await expect(part!.file.arrived()).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringContaining('3 MB'),
    });
    expect(memory.heldBytes()).toBe(0);
    await expect.poll(() => readdirSync(uploadDir)).toEqual([]);
  });

  test('that was freed while it arrived does not hold up the rest', async () => {
    const content = Buffer.alloc(2_900_000, 1);
    const body = makeBody([
      ['operations', '{"query":"m","variables":{"a":null,"b":null}}'],
      ['map', '{"0":["variables.a"],"1":["variables.b"]}'],
      ['0', content, 'a'],
      ['1', 'second', 'b'],
    ]);
    const { form } = read(body, { memoryBytes: 0 });
    const [first, second] = (await form).parts;
    first!.file.release();
    expect((await second!.file.readBytes()).toString()).toBe('second');
  });
});

describe('a mistake is named, and a correct request is shown', () => {
  test.each<[string, Buffer, RegExp, string?]>([
    ['no boundary', makeBody(PLAIN), /no boundary/, 'multipart/form-data'],
    ['no form', Buffer.from('hello'), /not a complete multipart form/],
    ['no end', makeBody([...PLAIN, ['0', 'x', 'x']], ''), /not a complete multipart form/],
    ['nothing in it', makeBody([]), /no field 'operations'|not a whole/],
    ['no map', makeBody([['operations', OPERATIONS]]), /no field 'map'/],
    [
      'a file instead of the map',
      makeBody([
        ['operations', OPERATIONS],
        ['0', 'x', 'x'],
      ]),
      /no field 'map'/,
    ],
    [
      'the map first',
      makeBody([
        ['map', MAP],
        ['operations', OPERATIONS],
      ]),
      /came before 'operations'/,
    ],
    ['the file first', makeBody([['0', 'x', 'x'], ...PLAIN]), /order is: operations, map, files/],
    ['wrong quotes', makeBody([['operations', "{'query':'x'}"]]), /'operations' is not JSON.*quotes/],
    ['a list of requests', makeBody([['operations', '[]']]), /Lists of requests/],
    [
      'a map that is not JSON',
      makeBody([
        ['operations', OPERATIONS],
        ['map', '0=variables.image'],
      ]),
      /'map' is not JSON/,
    ],
    [
      'a map of texts',
      makeBody([
        ['operations', OPERATIONS],
        ['map', '{"0":"variables.image"}'],
      ]),
      /list of paths/,
    ],
    [
      'a map of nothing',
      makeBody([
        ['operations', OPERATIONS],
        ['map', '{"0":[]}'],
      ]),
      /list of paths/,
    ],
    [
      'a path into nowhere',
      makeBody([
        ['operations', OPERATIONS],
        ['map', '{"0":["variables.img"]}'],
      ]),
      /'variables.img'/,
    ],
    [
      'a path into a prototype',
      makeBody([
        ['operations', OPERATIONS],
        ['map', '{"0":["__proto__.x"]}'],
      ]),
      /null in 'operations'/,
    ],
    [
      'a path that two files share',
      makeBody([
        ['operations', OPERATIONS],
        ['map', '{"0":["variables.image"],"1":["variables.image"]}'],
      ]),
      /null in 'operations'/,
    ],
    ['a field instead of a file', makeBody([...PLAIN, ['0', 'image.jpg']]), /text, not a file/],
    ['a variable as a field', makeBody([['model', 'resnet50'], ...PLAIN]), /'model'/],
    ['a file that is missing', makeBody(PLAIN), /no file of that name/],
  ])('%s', async (_name, body, words, type = TYPE) => {
    const { form } = read(body, { type });
    const error = (await form.then(
      ({ parts }) => parts[0]!.file.arrived().catch((thrown) => thrown),
      (thrown) => thrown,
    )) as GraphQLError;
    expect(error.message).toMatch(words);
    expect(error.extensions).toMatchObject({ code: 'BAD_REQUEST', http: { status: 400 } });
    expect(error.extensions.example).toContain("-F 'map=");
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  test('and the input is not echoed', async () => {
    const long = 'x'.repeat(500);
    const { form } = read(
      makeBody([
        ['operations', OPERATIONS],
        ['map', `{"0":["variables.${long}"]}`],
      ]),
    );
    const error = (await form.catch((thrown) => thrown)) as GraphQLError;
    expect(error.message.length).toBeLessThan(300);
  });
});

test.each<[string, Part[], RegExp]>([
  [
    'too many files',
    [
      ['operations', OPERATIONS],
      ['map', '{"0":["a"],"1":["a"],"2":["a"],"3":["a"]}'],
    ],
    /more than 3 files/,
  ],
  ['a long field', [['operations', JSON.stringify({ query: 'x'.repeat(2_000) })]], /larger than the 1 kB/],
  [
    'a field of few long characters',
    [['operations', JSON.stringify({ query: 'ä'.repeat(600) })]],
    /larger than the 1 kB/,
  ],
])('%s are REQUEST_TOO_LARGE, with the limit', async (_name, parts, words) => {
  const error = (await read(makeBody(parts)).form.catch((thrown) => thrown)) as GraphQLError;
  expect(error.message).toMatch(words);
  expect(error.extensions).toMatchObject({ code: 'REQUEST_TOO_LARGE', http: { status: 413 } });
});

test('a body cut anywhere ends with an error or a complete form, and leaves nothing', async () => {
  const body = makeBody([...PLAIN, ['0', 'some content', 'x.jpg']]);
  for (let end = 0; end < body.length; end += 3) {
    const { form } = read(body.subarray(0, end), { memoryBytes: 0 });
    const outcome = await form
      .then(async ({ parts: [part] }) => {
        await part!.file.arrived();
        part!.file.release();
        return 'whole';
      })
      .catch(() => 'cut');
    expect(outcome, `cut at ${end} of ${body.length}`).toBe(end >= body.length - 4 ? outcome : 'cut');
  }
  await expect.poll(() => readdirSync(uploadDir)).toEqual([]);
});

test('a form that is refused while more of it comes is read to its end, so that its connection stays usable', async () => {
  const form = makeBody([
    ['operations', OPERATIONS],
    ['map', '{"0":["variables.photo"]}'],
    ['0', Buffer.alloc(2_000_000), 'cat.png'],
  ]);
  // All in one piece: the parser is full in the same step in which the map is refused.
  const body = Readable.from([form.subarray(0, 1_000_000), form.subarray(1_000_000)]);
  const store = () => new FileStore(createMemoryBudget(10_000_000), uploadDir);
  await expect(readForm(body, { 'content-type': TYPE }, LIMITS, store)).rejects.toThrow('variables.photo');
  if (!body.readableEnded) await once(body, 'end', { signal: AbortSignal.timeout(10_000) });
});
