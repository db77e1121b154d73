/** Operations on tensors that are refused: their answers would differ, or depend on the other images of a batch. */
import { describe, expect, test } from 'vitest';
import { answer, CENTERED, type LayerFile, tensor } from './layer-files.fixture.ts';
import { lambda, op, x } from './operation-files.fixture.ts';

/** Each would give other answers to a batch of images than to each image alone. */
describe('an operation that mixes the images of a batch is refused', () => {
  const wide = [[[[[1]]]], [[[[2]]]]];
  test.each<[string, LayerFile[], RegExp]>([
    ['a softmax', [op('Softmax', [x], { axis: 0 })], /Softmax: layer l1: over the batch/],
    ['a softmax, counted from the end', [op('LogSoftmax', [x], { axis: -4 })], /LogSoftmax: layer l1: over the batch/],
    ['the layer Softmax', [{ class_name: 'Softmax', config: { axis: 0 } }], /Softmax: layer l1: over the batch/],
    ['a norm', [op('Norm', [x], { axis: 0, ord: null })], /Norm: layer l1: over the batch/],
    ['a norm, counted from the end', [op('Norm', [x], { axis: [-4], ord: null })], /Norm: layer l1: over the batch/],
    ['joined images', [op('Concatenate', [[x, x]], { axis: 0 })], /Concatenate: layer l1: that moves the batch/],
    [
      'the layer Concatenate',
      [{ class_name: 'Concatenate', config: { axis: -4 }, call: { args: [[x, x]], kwargs: {} } }],
      /Concatenate: layer l1: it would mix the images/,
    ],
    ['a batch of one without its dimension', [op('Squeeze', [x], { axis: 0 })], /Squeeze: layer l1: of \[-1,4,3,3\]/],
    ['a constant with a dimension in front', [op('Add', [x, wide])], /Add: layer l1: it would mix the images/],
    ['a choice with such a constant', [op('Where', [x, x, wide])], /Where: layer l1: it would mix the images/],
    [
      'a value with fewer dimensions',
      [op('Mean', [x], { axis: [1, 2] }), op('Subtract', [x, tensor('l1')])],
      /Sub would make a tensor of 4 x -1 x 3/,
    ],
  ])('%s', async (_, layers, message) => {
    await expect(answer('3.15.1', [CENTERED, ...layers])).rejects.toThrow(message);
  });
});

test('a value is not cut into thousands of parts, each of which becomes operators', async () => {
  const none = [0, 0];
  const wide = op('Pad', [x], { pad_width: [none, [0, 2000], none, none], mode: 'constant' });
  const parts = op('Unstack', [tensor('l1')], { num: null, axis: 1 });
  await expect(answer('3.15.1', [CENTERED, wide, parts])).rejects.toThrow(/Unstack: layer l2: into 2004 parts/);
});

test("a resize of TensorFlow 1, which samples other places, is not taken for today's", async () => {
  const resize = lambda('compat.v1.image.resize', { size: [8, 6] });
  await expect(answer('2.15.0', [CENTERED, resize])).rejects.toThrow(/does not cover compat\.v1\.image\.resize/);
});

test.each<[string, LayerFile, RegExp]>([
  [
    'a dimension of three that is to go',
    op('Squeeze', [x], { axis: 2 }),
    /Squeeze: layer l1: of \[-1,4,3,3\] over axis 2/,
  ],
  ['a length over no axis', op('Normalize', [x], { axis: [], order: 2 }), /Normalize: layer l1: over no axis/],
  [
    'a layer over no axis',
    { class_name: 'UnitNormalization', config: { axis: [] } },
    /UnitNormalization: layer l1: over/,
  ],
  ['a mean over an axis outside', op('Mean', [x], { axis: 7 }), /Mean: layer l1: over axis 7 of 4 dimensions/],
  ['a new axis outside', op('ExpandDims', [x], { axis: -9 }), /ExpandDims: layer l1: over axis -9 of 5 dimensions/],
  ['a move to outside', op('Moveaxis', [x], { source: 1, destination: 9 }), /Moveaxis: layer l1: over axis 9/],
  ['softmax over all axes', op('Softmax', [x], { axis: null }), /Softmax: layer l1: over other than one axis/],
  ['a mean over the batch', op('Mean', [x], { axis: [0, 1] }), /Mean: layer l1: over the batch/],
  ['a clip with one bound', op('Clip', [x], { x_min: null, x_max: 1 }), /Clip: layer l1: without two numbers/],
  ['a flip of everything', op('Flip', [x], { axis: null }), /Flip: layer l1: that moves the batch/],
  ['a flip of the batch', op('Flip', [x], { axis: 0 }), /Flip: layer l1: that moves the batch/],
  ['a cut of the batch', op('Split', [x], { indices_or_sections: 2, axis: 0 }), /Split: layer l1: over the batch/],
  [
    'parts beyond the end',
    op('Split', [x], { indices_or_sections: [1, 4], axis: -1 }),
    /Split: layer l1: into \[1,4\]/,
  ],
  ['no parts', op('Split', [x], { axis: -1 }), /Split: layer l1: into undefined/],
  ['parts of unequal size', op('Split', [x], { indices_or_sections: 2, axis: -1 }), /Split: layer l1: into 2/],
  ['an index outside', op('Take', [x, [3]], { axis: -1 }), /Take: layer l1: at \[3\]/],
  ['a round to decimals', op('Round', [x], { decimals: 1 }), /Round: layer l1: with decimals 1/],
  [
    'a shrink by another threshold',
    op('SoftShrink', [x], { threshold: 0.2 }),
    /SoftShrink: layer l1: with threshold 0.2/,
  ],
  ['a product with a number', op('Matmul', [x, 3]), /Matmul: layer l1: of \[-1,4,3,3\] and \[\]/],
  ['the norm of a matrix', op('Norm', [x], { axis: [1, 2], ord: 2 }), /Norm: layer l1: over several axes/],
  ['a sum of absolute values', op('Normalize', [x], { axis: -1, order: 1 }), /Normalize: layer l1: with order 1/],
  [
    'a padding of the batch',
    op('Pad', [x], {
      pad_width: [
        [1, 0],
        [0, 0],
        [0, 0],
        [0, 0],
      ],
      mode: 'constant',
    }),
    /Pad: layer l1: with the widths/,
  ],
])('%s is refused', async (_, layer, message) => {
  await expect(answer('3.15.1', [CENTERED, layer])).rejects.toThrow(message);
});
