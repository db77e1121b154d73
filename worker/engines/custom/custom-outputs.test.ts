/** Models with user code that give more than labels. */
import { expect, test } from 'vitest';
import { readResult } from '../../serving/postprocess.ts';
import { imageOf, setUpCustomModel } from './custom-model.fixture.ts';

const SPEC = `{
  engine: './engine.js',
  input: { width: 2, height: 2, channels: 1 },
  outputs: {
    shade: { type: 'labels', labels: './shades.json', task: 'multi-label', threshold: 0.4 },
    vector: { type: 'embedding', size: 2 },
    corner: { type: 'tensor', shape: [1, 3], dtype: 'uint8' },
  },
}`;
/** The first byte of an image decides what goes wrong. */
const ENGINE = `
export default {
  load: ({ input, outputs }) => {
    const names = outputs.map(({ name, dtype, elements }) => [name, dtype, elements].join(' ')).join();
    if (names !== 'shade float32 2,vector float32 2,corner uint8 3') throw new Error(names);
    return {
      run({ images, count }) {
        const firsts = Array.from({ length: count }, (_, i) => images[i * 4]);
        const outputs = {
          shade: firsts.map((first) => [1 - first / 255, first / 255]),
          vector: Float32Array.from(firsts.flatMap((first) => [first, -first])),
          corner: firsts.map((first) => Uint8Array.of(first, 1, 2)),
        };
        if (firsts.includes(1)) delete outputs.vector;
        if (firsts.includes(2)) outputs.vector = [1];
        if (firsts.includes(3)) outputs.other = [1];
        if (firsts.includes(4)) outputs.shade = firsts.map(() => [1]);
        if (firsts.includes(5)) outputs.vector = firsts.map(() => [NaN, 1]);
        return { outputs };
      },
    };
  },
};
`;

const custom = setUpCustomModel();

const complete = (files: Record<string, string> = {}) => ({
  'shades.json': '["dark", "bright"]',
  'model.json5': SPEC,
  'engine.js': ENGINE,
  ...files,
});

async function start(files?: Record<string, string>) {
  const { model, engine } = await custom.start(complete(files));
  return { model, run: engine.run };
}

test('a model without labels gives a head, an embedding and a tensor per image', async () => {
  const { model, run } = await start();
  expect(model).toMatchObject({
    classCount: 0,
    labels: [],
    headLabels: { shade: ['dark', 'bright'] },
    outputs: [
      { type: 'labels', name: 'shade', classCount: 2, task: 'multi-label', threshold: 0.4 },
      { type: 'embedding', name: 'vector', size: 2 },
      { type: 'tensor', name: 'corner', dtype: 'uint8', shape: [1, 3] },
    ],
  });
  const output = await run([255, 51].map(imageOf), false);
  const { labels, outputs } = readResult(output, 1, model);
  expect(labels).toEqual([]);
  expect(outputs).toEqual([
    expect.objectContaining({
      name: 'shade',
      labels: [
        { index: 0, name: 'dark', score: 0.8 },
        { index: 1, name: 'bright', score: 0.2 },
      ],
    }),
    expect.objectContaining({ data: Buffer.from(Float32Array.of(51, -51).buffer).toString('base64') }),
    expect.objectContaining({ data: Buffer.of(51, 1, 2).toString('base64') }),
  ]);
});

test.each([
  [1, 'run returned no numbers of output vector, expected 1 x 2 numbers for 1 images'],
  [2, 'run returned 1 numbers of output vector, expected 1 x 2 numbers for 1 images'],
  [3, 'run returned an output other, which the specification does not declare'],
  [4, 'run returned 1 numbers of output shade for image 0, expected 1 x 2 numbers for 1 images'],
])('what is missing, unknown or of another shape (%i) fails the batch, with a message', async (first, message) => {
  const { run } = await start();
  await expect(run([imageOf(first)], false)).rejects.toMatchObject({ code: 'MODEL_FAILED', cause: { message } });
  await run([imageOf(9)], false);
});

test('an embedding that is not a number fails its image', async () => {
  const { model, run } = await start();
  const output = await run([imageOf(5)], false);
  expect(() => readResult(output, 0, model)).toThrow(expect.objectContaining({ code: 'MODEL_FAILED' }));
});

test('postprocess sees and changes each output of an image', async () => {
  const { model, run } = await start({
    'model.json5': SPEC.replace('{', "{ postprocess: './after.js',"),
    'after.js': `export default ({ outputs }) => {
      if (outputs.corner[0] === 7) return { outputs: { vector: [1, 2, 3] } };
      const length = Math.hypot(...outputs.vector);
      return { outputs: { vector: outputs.vector.map((value) => value / length) }, extra: outputs.corner.constructor.name };
    };`,
  });
  const output = await run([10, 7, 20].map(imageOf), false);
  const half = Math.fround(Math.SQRT1_2);
  for (const at of [0, 2]) {
    const { outputs, extra } = readResult(output, at, model);
    expect(outputs![1]).toMatchObject({ data: Buffer.from(Float32Array.of(half, -half).buffer).toString('base64') });
    expect(extra).toBe('Uint8Array');
  }
  expect(output.failures?.[1]).toBe('postprocess failed: it returned 3 values of output vector, expected 2');
});

test('the names of a head are part of the version', async () => {
  const { version } = await custom.load(complete());
  const { version: other } = await custom.load(complete({ 'shades.json': '["dark", "light"]' }));
  expect(other).not.toBe(version);
});
