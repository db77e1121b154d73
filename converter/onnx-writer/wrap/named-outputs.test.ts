/** Outputs of ONNX files besides the labels. */
import ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { largestDifference, randomPixels } from '../../golden/harness.fixture.ts';
import { encodeTwoHeads, TWO_HEADS_LABELS, TWO_HEADS_SPEC } from '../../golden/onnx-file.fixture.ts';
import { decodeOnnx } from '../../onnx-reader/decode-onnx.ts';
import { prepareOutputs } from '../../spec/output-spec.ts';
import { parseSpec } from '../../spec/spec.ts';
import { outputPort } from '../output-port.ts';
import { wrapOnnx } from './wrap-onnx-file.ts';

const INPUT = parseSpec(JSON.stringify(TWO_HEADS_SPEC), 'model.json5').input;

async function wrap(changes: object = {}, file = encodeTwoHeads(), labelCount = TWO_HEADS_LABELS.length) {
  const spec = parseSpec(JSON.stringify({ ...TWO_HEADS_SPEC, ...changes }), 'model.json5');
  return wrapOnnx(decodeOnnx(file), spec, { labelCount, outputs: await prepareOutputs(spec.outputs, '.') });
}

async function run(file: Uint8Array, name: string, data: Uint8Array | Float32Array, shape: number[]) {
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1 });
  const type = data instanceof Uint8Array ? 'uint8' : 'float32';
  const outputs = await session.run({ [name]: new ort.Tensor(type, data as Uint8Array, shape) });
  return Object.fromEntries(Object.entries(outputs).map(([output, { data }]) => [output, data as Float32Array]));
}

test('each output is what the file gives, heads as probabilities, whole numbers as int32', async () => {
  const pixels = randomPixels(INPUT, 2);
  const planes = Float32Array.from({ length: pixels.length }, (_, i) => {
    const [image, channel, place] = [Math.floor(i / 192), Math.floor((i % 192) / 64), i % 64];
    return pixels[image * 192 + place * 3 + channel]! / 255;
  });
  const expected = await run(encodeTwoHeads(), 'input', planes, [2, 3, 8, 8]);
  const { bytes, classCount } = await wrap();
  const found = await run(bytes, 'image', pixels, [2, 8, 8, 3]);
  expect(classCount).toBe(4);
  expect(Object.keys(found)).toEqual(['probabilities', ...['color', 'vector', 'grid'].map(outputPort)]);
  expect(largestDifference(found.probabilities!, expected.kind!)).toBeLessThan(1e-6);
  const sigmoid = Array.from(expected.color!, (value) => 1 / (1 + Math.exp(-value)));
  expect(largestDifference(found[outputPort('color')]!, sigmoid)).toBeLessThan(1e-6);
  expect(largestDifference(found[outputPort('vector')]!, expected.features!)).toBeLessThan(1e-6);
  const grid = found[outputPort('grid')]!;
  expect(grid).toBeInstanceOf(Int32Array);
  // Rounded down: a difference in the last digit may be one step.
  expect(largestDifference(grid, Array.from(expected.grid! as ArrayLike<number>, Number))).toBeLessThan(0.05);
  expect(grid.some((value) => value > 10)).toBe(true);
});

test('a model may have outputs and no labels', async () => {
  const { labels: _, ...source } = TWO_HEADS_SPEC.source;
  const { bytes, classCount } = await wrap({ source }, encodeTwoHeads(), 0);
  expect(classCount).toBe(0);
  const found = await run(bytes, 'image', randomPixels(INPUT, 1), [1, 8, 8, 3]);
  expect(Object.keys(found)).toEqual(['color', 'vector', 'grid'].map(outputPort));
});

test('the output that no other part of the spec names has the labels', async () => {
  const { bytes } = await wrap({ output: { activation: 'softmax' } });
  const found = await run(bytes, 'image', randomPixels(INPUT, 1), [1, 8, 8, 3]);
  expect(found.probabilities).toHaveLength(4);
});

describe('what does not fit the file is refused:', () => {
  const { color, vector, grid } = TWO_HEADS_SPEC.outputs;
  test.each([
    [
      'a name',
      { vector: { ...vector, from: 'nothing' } },
      /outputs\.vector\.from: expected one of kind .*, found nothing/,
    ],
    ['a size', { vector: { ...vector, size: 9 } }, /outputs\.vector: .* features has 8 numbers per image .*expected 9/],
    ['a shape', { grid: { ...grid, shape: [8, 8] } }, /outputs\.grid: .* grid has 512 numbers .*expected 64/],
    ['labels', { color: { ...color, labels: ['a', 'b'] } }, /outputs\.color: .* color has 3 numbers .*expected 2/],
    [
      'a softmax',
      { color: { ...color, from: 'kind', labels: TWO_HEADS_LABELS } },
      /outputs\.color\.activation: the ONNX file ends in Softmax already/,
    ],
  ])('%s', async (_what, outputs, message) => {
    await expect(wrap({ outputs })).rejects.toThrow(message);
  });
});

describe('a spec that cannot be says what was expected:', () => {
  test.each([
    [{ 'my head': { type: 'embedding', size: 1 } }, /outputs.*a name of 1 to 64 letters/],
    [{ v: { type: 'vector', size: 1 } }, /outputs\.v\.type: .*labels, embedding and tensor/],
    [{ v: { type: 'embedding' } }, /outputs\.v\.size/],
    [{ v: { type: 'embedding', size: 1, shape: [1] } }, /outputs\.v\.shape: unknown field/],
    [{ h: { type: 'labels', labels: [] } }, /outputs\.h\.labels/],
    [{ h: { type: 'labels', labels: ['a'], threshold: 2 } }, /outputs\.h\.threshold: expected at most 1/],
    [{ t: { type: 'tensor', shape: [2], dtype: 'float16' } }, /outputs\.t\.dtype/],
    [{}, /outputs: expected 1 to 16 outputs, found 0/],
    [
      { v: { type: 'embedding', size: 16_000 }, t: { type: 'tensor', shape: [600] } },
      /outputs: expected embeddings and tensors of at most 65536 bytes per image, found 66400 in v \(embedding\), t \(tensor\)/,
    ],
  ])('%o', (outputs, message) => {
    expect(() => parseSpec(JSON.stringify({ ...TWO_HEADS_SPEC, outputs }), 'model.json5')).toThrow(message);
  });

  test('labels may be absent only if there are outputs', () => {
    const { labels: _, ...source } = TWO_HEADS_SPEC.source;
    const { outputs: __, ...spec } = TWO_HEADS_SPEC;
    expect(() => parseSpec(JSON.stringify({ ...spec, source }), 'model.json5')).toThrow(
      /source\.labels: expected a file with the names of the classes, or `outputs`/,
    );
  });
});
