/** Layers and operations at the values where two definitions differ. Expected are the answers of TensorFlow. */
import { expect, test } from 'vitest';
import { answer, type LayerFile, PIXELS, tensor } from './layer-files.fixture.ts';

const image = tensor('image');
const op = (class_name: string, args: unknown[], module = 'keras.src.ops.numpy'): LayerFile => ({
  class_name,
  module,
  call: { args, kwargs: {} },
});
const pixels = [...PIXELS];
/** A value that pixels have, so that they are at the edge. */
const edge = pixels[0]!;

test.each(['2.15.0', '3.15.1'] as const)('a ReLU of Keras %s gives zero at its threshold', async (version) => {
  const layer = { class_name: 'ReLU', config: { threshold: edge } };
  expect(await answer(version, [layer])).toEqual(pixels.map((v) => (v > edge ? v : 0)));
});

test('the lower bound of a clip wins if the bounds are exchanged', async () => {
  expect(await answer('3.15.1', [{ ...op('Clip', [image]), config: { x_min: 2, x_max: -1 } }])).toEqual(
    pixels.map(() => 2),
  );
});

test('a constant is added to the last dimension if it has its size', async () => {
  const added = op('Add', [image, [[[[10, 20, 30]]]]]);
  expect(await answer('3.15.1', [added])).toEqual(pixels.map((v, i) => v + [10, 20, 30][i % 3]!));
});

test('a constant for each row is added to the rows', async () => {
  const added = op('Add', [image, [[[[1]], [[2]], [[3]], [[4]]]]]);
  expect(await answer('3.15.1', [added])).toEqual(pixels.map((v, i) => v + 1 + Math.floor(i / 9)));
});
