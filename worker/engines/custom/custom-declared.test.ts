/** Models whose code declares them, without a `model.json5`. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { pino } from 'pino';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { listModelNames, loadRepositoryModel } from '../../repository/load-model.ts';
import { type IsolatedEngine, startIsolatedEngine } from '../process/isolated-engine.ts';
import { defineModel } from './types.ts';

const ENGINE = `
export default {
  name: 'light',
  description: 'How bright an image is.',
  input: { width: 2, height: 2, channels: 1 },
  labels: ['dark', 'bright'],
  outputs: {
    shade: { type: 'labels', labels: ['none', 'some', 'all'], task: 'multi-label' },
    vector: { type: 'embedding', size: 1 },
  },
  load: ({ labels, outputs }) => ({
    run({ images, count }) {
      const firsts = Array.from({ length: count }, (_, i) => images[i * 4] / 255);
      return {
        probabilities: firsts.map((first) => [1 - first, first]),
        outputs: { shade: firsts.map((first) => [0, first, 0]), vector: firsts },
        extra: firsts.map(() => [labels, outputs.map(({ name, elements }) => name + elements)]),
      };
    },
  }),
};
`;

let childPath: string;
let folder: string;
let engine: IsolatedEngine | undefined;

beforeAll(async () => {
  childPath = join(await buildSystem(), 'worker/engines/process/engine-process-main.js');
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-module-declared-'));
});
afterEach(async () => {
  await engine?.close();
  engine = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function load(files: Record<string, string>) {
  await mkdir(join(folder, 'models/light'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  for (const [name, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
    await writeFile(join(folder, 'models/light', name), text);
  }
  const modelsDir = join(folder, 'models');
  expect(await listModelNames(modelsDir)).toEqual(['light']);
  return loadRepositoryModel('light', { modelsDir, stateDir: join(folder, 'state') });
}

async function start(files: Record<string, string>) {
  const model = await load(files);
  const { engine: name, model: candidate } = model.candidates[0]!;
  engine = await startIsolatedEngine({
    model: { engine: name, input: model.input, classCount: model.classCount, threads: 1, ...candidate },
    timeLimitMs: 30_000,
    log: pino({ level: 'silent' }),
    childPath,
  });
  return { model, run: engine.run };
}

test('a folder with code alone is served as the code declares', async () => {
  const { model, run } = await start({ 'engine.js': ENGINE });
  expect(model).toMatchObject({
    description: 'How bright an image is.',
    input: { width: 2, height: 2, channels: 1 },
    labels: ['dark', 'bright'],
    classCount: 2,
    headLabels: { shade: ['none', 'some', 'all'] },
    outputs: [
      { type: 'labels', name: 'shade', classCount: 3, task: 'multi-label' },
      { type: 'embedding', name: 'vector', size: 1 },
    ],
  });
  const { probabilities, outputs, extra } = await run([new Uint8Array([255, 0, 0, 0])], false);
  expect([...probabilities]).toEqual([0, 1]);
  expect([...outputs!.shade!]).toEqual([0, 1, 0]);
  expect([...outputs!.vector!]).toEqual([1]);
  expect(extra).toEqual([
    [
      ['dark', 'bright'],
      ['shade3', 'vector1'],
    ],
  ]);
});

test('a change of the code, or of what it declares, is another version', async () => {
  const { version } = await load({ 'engine.js': ENGINE });
  expect((await load({ 'engine.js': ENGINE })).version).toBe(version);
  const other = await load({ 'engine.js': ENGINE.replace("'bright'", "'light'") });
  expect(other.labels).toEqual(['dark', 'light']);
  expect(other.version).not.toBe(version);
  expect((await load({ 'engine.js': `${ENGINE}// new` })).version).not.toBe(version);
});

test.each([
  ["labels: ['dark', 'light'],", 'declares labels dark, bright, model.json5 says dark, light: remove one of them'],
  [
    "labels: ['dark', 'bright'], outputs: { vector: { type: 'embedding', size: 1 } },",
    'declares outputs shade, vector, model.json5 says vector: remove one of them',
  ],
  ["input: { width: 4, height: 2, channels: 1 }, labels: ['dark', 'bright'],", 'declares input 2x2x1'],
])('code that contradicts a spec with an input is not served: %s', async (fields, message) => {
  const spec = `{ engine: './engine.js', ${fields.includes('input') ? '' : 'input: { width: 2, height: 2, channels: 1 },'} ${fields} }`;
  await expect(start({ 'engine.js': ENGINE, 'model.json5': spec })).rejects.toThrow(message);
});

test('what is declared is typed', () => {
  const load = () => ({ run: () => ({ probabilities: [0, 1] }) });
  const outputs = { vector: { type: 'embedding' as const, size: 2 } };
  const model = defineModel({
    input: { width: 8, height: 8, resize: 'pillow-bilinear' },
    labels: ['a', 'b'],
    outputs,
    load,
  });
  expect(model).toMatchObject({ labels: ['a', 'b'], outputs, load });
  // @ts-expect-error the code normalizes the pixels
  defineModel({ input: { width: 8, height: 8, normalization: 'torch' }, load });
  // @ts-expect-error a field that does not exist
  defineModel({ input: { width: 8, height: 8 }, lables: ['a'], load });
});
