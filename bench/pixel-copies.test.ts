/** How often an image is copied, and how many tensors a run takes: counts that do not depend on the machine's speed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { addPixels, parseEntry } from '@inferql/queue/jobs/stream-entry';
import { createMemoryBudget, FileStore } from '@inferql/server/uploads/memory-or-disk-store';
import { readForm } from '@inferql/server/uploads/multipart-reader';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import { createOnnxSession } from '@inferql/worker/engines/onnx/create-session';
import { loadRepositoryModel } from '@inferql/worker/repository/load-model';
import type { Tensor } from 'onnxruntime-node';
import { afterEach, expect, test, vi } from 'vitest';

const { made } = vi.hoisted(() => ({ made: [] as Tensor[] }));

/** The library, except that it records each new tensor. */
vi.mock('onnxruntime-node', async (importOriginal) => {
  const original = await importOriginal<typeof import('onnxruntime-node')>();
  const NotedTensor = new Proxy(original.Tensor, {
    construct(target, args, self) {
      const tensor = Reflect.construct(target, args, self) as Tensor;
      made.push(tensor);
      return tensor;
    },
  });
  return { ...original, Tensor: NotedTensor };
});

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

test('an image is read from the request without a copy', async () => {
  const parts = [
    '--frontier\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"query":"","variables":{"image":null}}',
    '\r\n--frontier\r\ncontent-disposition: form-data; name="map"\r\n\r\n{"0":["variables.image"]}',
    '\r\n--frontier\r\ncontent-disposition: form-data; name="0"; filename="a.jpg"\r\n\r\n',
  ].join('');
  const body = Buffer.concat([Buffer.from(parts), Buffer.alloc(20_000, 7), Buffer.from('\r\n--frontier--\r\n')]);
  const limits = { maxFiles: 1, maxFileBytes: 100_000, maxFieldBytes: 10_000, maxBodyBytes: 100_000 };
  const headers = { 'content-type': 'multipart/form-data; boundary=frontier' };
  const memory = createMemoryBudget(100_000);
  const { parts: files } = await readForm(
    Readable.from([body]),
    headers,
    limits,
    () => new FileStore(memory, tmpdir()),
  );
  const file = await files[0]!.file.readBytes();
  expect(file.buffer).toBe(body.buffer);
  expect(file).toHaveLength(20_000);
});

test('the pixels of a claimed job are a view into what Redis sent', () => {
  const pixels = Buffer.alloc(48, 9);
  const fields = ['job', 'a', 'options', '{"heatmap":false}', 'image'].map((text) => Buffer.from(text));
  const job = parseEntry('stream', [Buffer.from('1-1'), [...fields, pixels]]);
  const { image, readable } = addPixels(job, job.image!, 48);
  expect(readable).toBe(true);
  expect(image).toBe(pixels);
});

test('a run of a whole batch takes one tensor, on the memory that it was given', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inferql-copies-'));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  await writeTinyModel(join(folder, 'models'), 'tiny');
  const dirs = { modelsDir: join(folder, 'models'), stateDir: join(folder, 'state') };
  const { input, candidates } = await loadRepositoryModel('tiny', dirs);
  const { onnx } = candidates.find(({ engine }) => engine === 'onnxruntime')!.model;
  const session = await createOnnxSession({ input, classCount: 3 }, { path: onnx!.path, isOptimized: false }, 1);
  const images = new Uint8Array(8 * input.width * input.height * input.channels);
  made.length = 0;
  await session.run({ images, count: 8, wantHeatmaps: false });
  expect(made).toHaveLength(1);
  expect((made[0]!.data as Uint8Array).buffer).toBe(images.buffer);
});
