/** Models whose code declares them, without a `model.json5`. */
import { expect, test } from 'vitest';
import { imageOf, MODEL, setUpCustomModel } from './custom-model.fixture.ts';
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

const custom = setUpCustomModel();

test('a folder with code alone is served as the code declares', async () => {
  const { model, engine } = await custom.start({ 'engine.js': ENGINE });
  expect(await custom.list()).toEqual([MODEL]);
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
  const { probabilities, outputs, extra } = await engine.run([imageOf(255)], false);
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
  const { version } = await custom.load({ 'engine.js': ENGINE });
  expect((await custom.load({ 'engine.js': ENGINE })).version).toBe(version);
  const other = await custom.load({ 'engine.js': ENGINE.replace("'bright'", "'light'") });
  expect(other.labels).toEqual(['dark', 'light']);
  expect(other.version).not.toBe(version);
  expect((await custom.load({ 'engine.js': `${ENGINE}// new` })).version).not.toBe(version);
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
  await expect(custom.start({ 'engine.js': ENGINE, 'model.json5': spec })).rejects.toThrow(message);
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
