/** Graph nodes with arguments that TensorFlow's functions do not write, only its raw ops. */
import { expect, test } from 'vitest';
import type { GraphWriter } from './graph-writer.fixture.ts';
import { convertOnly, difference, INPUT, LIMIT } from './graphs.fixture.ts';

test('a clip with bounds for each channel is refused', async () => {
  const clip = (low: number[], high: number[]) => (g: GraphWriter) =>
    g.node('ClipByValue', ['image', g.float(...low), g.float(...high)]);
  await expect(convertOnly(clip([0, 0.1, 0.2], [0.5]))).rejects.toThrow(
    /ClipByValue: .*bounds of other than one number/,
  );
  await expect(convertOnly(clip([0], [0.5, 0.6, 0.7]))).rejects.toThrow(
    /ClipByValue: .*bounds of other than one number/,
  );
  expect(await difference(clip([0], [0.5]))).toBeLessThan(LIMIT);
});

test('a pad that adds images is refused', async () => {
  const padded = (before: number) => (g: GraphWriter) =>
    g.node('Pad', [
      g.node('Reshape', ['image', g.ints(-1, 264)]),
      g.node('Reshape', [g.ints(before, 0, 1, 0), g.ints(2, 2)]),
    ]);
  await expect(convertOnly(padded(1))).rejects.toThrow(/Pad: of the batch/);
  expect(await difference(padded(0))).toBeLessThan(LIMIT);
});

test('a batch normalization without an epsilon has the one of TensorFlow', async () => {
  const normalized = (attr: object) => (g: GraphWriter) =>
    g.node('FusedBatchNormV3', ['image', g.positive(3), g.weights(3), g.weights(3), g.float(1e-4, 1e-4, 1e-4)], {
      is_training: { b: false },
      ...attr,
    });
  expect(await convertOnly(normalized({}))).toEqual(await convertOnly(normalized({ epsilon: { f: 1e-4 } })));
});

test('a product of one matrix with each image has as many results as images', async () => {
  const product = (g: GraphWriter) =>
    g.node('BatchMatMulV2', [g.weights(1, 5, 88), g.node('Reshape', ['image', g.ints(-1, 88, 3)])]);
  expect(await difference(product)).toBeLessThan(LIMIT);
});

test('a graph that computes with whole numbers of the image is refused, one that casts them first is not', async () => {
  const whole = (write: (g: GraphWriter) => string) => (g: GraphWriter) => {
    g.nodes[0]!.attr.dtype = { type: 'DT_UINT8' };
    return write(g);
  };
  const turned = (g: GraphWriter) => g.node('ReverseV2', ['image', g.ints(3)]);
  const sum = (g: GraphWriter) => g.node('AddV2', [turned(g), g.float(100)]);
  // Models that take whole numbers take them as they are.
  const plain: typeof INPUT = { ...INPUT, normalization: 'none' };
  await expect(convertOnly(whole(sum), plain)).rejects.toThrow(/AddV2: node AddV2_\d+, of whole numbers \(DT_UINT8\)/);
  const cast = (g: GraphWriter) =>
    g.node('AddV2', [g.node('Cast', [turned(g)], { DstT: { type: 'DT_FLOAT' } }), g.float(100)]);
  expect(await convertOnly(whole(cast), plain)).toEqual(await convertOnly(cast, plain));
});
