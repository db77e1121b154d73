/** What a form may take, and what counts if parts are sent twice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS, MAP, makeBody, OPERATIONS, type Part, PLAIN, splitBody, TYPE } from './form.fixture.ts';
import { createMemoryBudget, FileStore } from './memory-or-disk-store.ts';
import { readForm } from './multipart-reader.ts';

let uploadDir = '';
beforeAll(() => {
  uploadDir = mkdtempSync(join(tmpdir(), 'inferql-form-'));
});
afterAll(() => rmSync(uploadDir, { recursive: true, force: true }));

const memory = createMemoryBudget(100_000_000);
const openStore = () => new FileStore(memory, uploadDir);
const readParts = (parts: Part[]) => readForm(splitBody(makeBody(parts)), { 'content-type': TYPE }, LIMITS, openStore);

test('more files than allowed are refused, although the map names fewer', async () => {
  const others = ['a', 'b', 'c'].map((name): Part => [name, 'x', 'x.png']);
  const form = await readParts([...PLAIN, ...others, ['0', 'x', 'x.png']]);
  await expect(form.parts[0]!.file.arrived()).rejects.toMatchObject({
    message: expect.stringContaining('more than 3 files'),
    extensions: { code: 'REQUEST_TOO_LARGE' },
  });
});

test('of parts with the same name the first counts', async () => {
  const files = ['first', 'second'].map((content): Part => ['0', content, 'x.png']);
  const { parts } = await readParts([...PLAIN, ['map', MAP], ...files]);
  expect(String(await parts[0]!.file.readBytes())).toBe('first');
  const [operations, map] = PLAIN;
  const other: Part = ['operations', OPERATIONS.replace('mutation', 'other')];
  const { params } = await readParts([operations!, other, map!, files[0]!]);
  expect(params.query).toBe('mutation');
});

test('a body that breaks off is one mistake, and no unhandled error', async () => {
  const body = Readable.from(
    (function* () {
      yield makeBody(PLAIN, '');
      throw new Error('the connection was reset');
    })(),
  );
  const form = readForm(body, { 'content-type': TYPE }, LIMITS, openStore);
  await expect(form).rejects.toThrow('not a complete multipart form');
});

test('the announced length is that of a file only if there is no other', async () => {
  const read = async (map: string, variables: string) => {
    const expected: number[] = [];
    const body = makeBody([
      ['operations', `{"query":"m","variables":${variables}}`],
      ['map', map],
    ]);
    const headers = { 'content-type': TYPE, 'content-length': `${body.length}` };
    await readForm(splitBody(body), headers, LIMITS, (bytes) => {
      expected.push(bytes);
      return openStore();
    });
    return { expected, announced: body.length };
  };
  const one = await read(MAP, '{"image":null}');
  expect(one.expected).toEqual([one.announced]);
  const two = await read('{"0":["variables.a"],"1":["variables.b"]}', '{"a":null,"b":null}');
  expect(two.expected).toEqual([0, 0]);
});

test('a body is read only as fast as its files are written', async () => {
  let goOn = () => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let written = 0;
  class SlowStore extends FileStore {
    override write(chunk: Buffer) {
      written += chunk.length;
      const isTaken = super.write(chunk);
      return gate.then(() => isTaken);
    }
  }
  const content = Buffer.alloc(LIMITS.maxFileBytes, 7);
  const body = splitBody(makeBody([...PLAIN, ['0', content, 'x.png']]));
  const reading = readForm(body, { 'content-type': TYPE }, LIMITS, () => new SlowStore(memory, uploadDir));
  let sent = 0;
  body.on('data', (chunk: Buffer) => {
    sent += chunk.length;
  });
  const form = await reading;
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  expect(written).toBeGreaterThan(0);
  expect(sent).toBeLessThan(500_000);
  goOn();
  expect((await form.parts[0]!.file.readBytes()).equals(content)).toBe(true);
});
