import { constants } from 'node:buffer';
import { appendFileSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openMemory } from './finished-images.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-finished-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const LINE_BYTES = 1_048_576;
const image = { name: 'cat.jpg', content: '/images/cat.jpg', size: 10, mtimeMs: 1_000 };
const plain = {
  file: image.name,
  ok: true as const,
  id: 'm.1',
  model: 'm',
  modelVersion: 'aaaaaaaaaaaa',
  labels: [{ name: 'tabby', index: 0, score: 1 }],
  cached: false,
  batchSize: 1,
  timings: null,
};
const outputs = { heads: [], embeddings: [], tensors: [], extra: { sharp: true } };

/** The records of the image in a run with outputs and in one without, after a run that kept a record. */
async function recallAfter(record: Parameters<Awaited<ReturnType<typeof openMemory>>['keep']>[1]) {
  const path = join(dir, 'state');
  const first = await openMemory(path, 'm');
  await first.keep(image, record);
  await first.close();
  const second = await openMemory(path, 'm');
  await second.close();
  return { withOutputs: second.recall(image, true), without: second.recall(image, false) };
}

test('a record without outputs is not recalled for a run that wants them', async () => {
  expect(await recallAfter(plain)).toEqual({ withOutputs: undefined, without: plain });
});

test('outputs are left out of a recalled record unless the run wants them', async () => {
  const { withOutputs, without } = await recallAfter({ ...plain, outputs });
  expect(withOutputs).toEqual({ ...plain, outputs });
  expect(without).toEqual(plain);
  expect(without).not.toHaveProperty('outputs');
});

test('a state file may be longer than a string can be', async () => {
  const path = join(dir, 'state');
  const first = await openMemory(path, 'm');
  // Lines that are holes in the file.
  for (let size = 0; size <= constants.MAX_STRING_LENGTH; size += LINE_BYTES) {
    truncateSync(path, size + LINE_BYTES);
    appendFileSync(path, '\n');
  }
  await first.keep(image, plain);
  await first.close();
  const second = await openMemory(path, 'm');
  await second.close();
  expect(second.recall(image, false)).toEqual(plain);
});
