/** Operations on tensors, as Keras 2 and Keras 3 write them, against plain arithmetic. */
import { describe, expect, test } from 'vitest';
import { answer, type LayerFile, PIXELS, tensor } from './layer-files.fixture.ts';

const pixels = [...PIXELS];
/** Rows, columns and channels of the fixture's images. */
const [ROWS, COLUMNS, CHANNELS] = [4, 3, 3];

/** A function of TensorFlow as Keras 2 wraps it. */
const lambda = (name: string, first: unknown[], kwargs: object = {}): LayerFile => ({
  class_name: 'TFOpLambda',
  config: { trainable: true, dtype: 'float32', function: name },
  call: [...first, { name: null, ...kwargs }],
});
const image = ['image', 0, 0];
/** An operation of Keras 3. */
const op = (class_name: string, args: unknown[], config: object = {}, kwargs: object = {}): LayerFile => ({
  class_name,
  config: { ...config },
  call: { args, kwargs },
});
const x = tensor('image');

async function expectBoth(two: LayerFile, three: LayerFile, expected: readonly number[]): Promise<void> {
  for (const [version, layer] of [
    ['2.15.0', two],
    ['3.15.1', three],
  ] as const) {
    const values = await answer(version, [layer]);
    expect(values).toHaveLength(expected.length);
    for (const [i, value] of values.entries()) expect(value / (expected[i] || 1)).toBeCloseTo(expected[i] ? 1 : 0, 4);
  }
}

describe('operations with a number', () => {
  const cases: [string, LayerFile, LayerFile, (x: number) => number][] = [
    ['x + 3', lambda('__operators__.add', image, { y: 3 }), op('Add', [x, 3]), (v) => v + 3],
    ['x - 2', lambda('math.subtract', image, { y: 2 }), op('Subtract', [x, 2]), (v) => v - 2],
    ['x * 0.5', lambda('math.multiply', image, { y: 0.5 }), op('Multiply', [x, 0.5]), (v) => v * 0.5],
    ['x / 255', lambda('math.truediv', image, { y: 255 }), op('TrueDivide', [x, 255]), (v) => v / 255],
    ['1 - x', lambda('math.subtract', ['_CONSTANT_VALUE', -1, 1], { y: image }), op('Subtract', [1, x]), (v) => 1 - v],
    ['x ** 2', lambda('math.pow', image, { y: 2 }), op('Power', [x, 2]), (v) => v ** 2],
    ['-x', lambda('math.negative', image), op('Negative', [x]), (v) => -v],
    ['max(x, 30)', lambda('math.maximum', image, { y: 30 }), op('Maximum', [x, 30]), (v) => Math.max(v, 30)],
    [
      'clip(x, 20, 100)',
      lambda('clip_by_value', image, { clip_value_min: 20, clip_value_max: 100 }),
      op('Clip', [x], { x_min: 20, x_max: 100 }),
      (v) => Math.min(Math.max(v, 20), 100),
    ],
    [
      'a conversion to floats',
      lambda('cast', image, { dtype: 'float32' }),
      op('Cast', [x], { dtype: 'float32' }),
      (v) => v,
    ],
  ];
  test.each(cases)('%s', async (_, two, three, expected) => {
    await expectBoth(two, three, pixels.map(expected));
  });

  test('a number per channel: what preprocess_input writes', async () => {
    const mean = [-103.939, -116.779, -123.68];
    const wrapped = { class_name: '__tensor__', config: { value: [[[mean]]], dtype: 'float32' } };
    const two = lambda('nn.bias_add', image, { bias: mean, data_format: 'channels_last' });
    await expectBoth(
      two,
      op('Add', [x, wrapped]),
      pixels.map((v, i) => v + mean[i % CHANNELS]!),
    );
  });
});

describe('operations that move values', () => {
  const at = (row: number, column: number, channel: number) => pixels[(row * COLUMNS + column) * CHANNELS + channel]!;
  const all = <T>(make: (row: number, column: number) => T[]) =>
    Array.from({ length: ROWS }, (_, row) => Array.from({ length: COLUMNS }, (_, column) => make(row, column))).flat(2);

  test('x[..., ::-1]: the channels reversed', async () => {
    const slice = { start: null, stop: null, step: -1 };
    const two: LayerFile = {
      class_name: 'SlicingOpLambda',
      config: { function: '__operators__.getitem' },
      call: [...image, { slice_spec: [{ class_name: '__ellipsis__' }, slice] }],
    };
    const key = [
      { class_name: '__ellipsis__', config: {} },
      { class_name: '__slice__', config: slice },
    ];
    const reversed = all((row, column) => [at(row, column, 2), at(row, column, 1), at(row, column, 0)]);
    await expectBoth(two, op('GetItem', [x, key]), reversed);
  });

  test('x[:, 1:3, -1, :2]: rows, a column and channels', async () => {
    const whole = { start: null, stop: null, step: null };
    const slices = [{ ...whole, start: 1, stop: 3 }, -1, { ...whole, stop: 2 }];
    const two: LayerFile = {
      class_name: 'SlicingOpLambda',
      config: { function: '__operators__.getitem' },
      call: [...image, { slice_spec: [whole, ...slices] }],
    };
    const key = [whole, ...slices].map((part) =>
      typeof part === 'number' ? part : { class_name: '__slice__', config: part },
    );
    const expected = [1, 2].flatMap((row) => [at(row, 2, 0), at(row, 2, 1)]);
    await expectBoth(two, op('GetItem', [x, key]), expected);
  });

  test('a mean over rows and columns, a reshape, a transpose, a concatenation', async () => {
    const means = [0, 1, 2].map(
      (channel) => all((row, column) => [at(row, column, channel)]).reduce((a, b) => a + b) / 12,
    );
    const axis = { axis: [1, 2], keepdims: false };
    await expectBoth(lambda('math.reduce_mean', image, axis), op('Mean', [x], axis), means);
    const flat = { shape: [-1, 36] };
    await expectBoth(lambda('reshape', image, flat), op('Reshape', [x], { newshape: [-1, 36] }), pixels);
    const turned = { perm: [0, 2, 1, 3] };
    const expected = Array.from({ length: COLUMNS }, (_, column) =>
      Array.from({ length: ROWS }, (_, row) => [0, 1, 2].map((channel) => at(row, column, channel))),
    ).flat(2);
    await expectBoth(lambda('transpose', image, turned), op('Transpose', [x], { axes: turned.perm }), expected);
    const joined: LayerFile = {
      class_name: 'TFOpLambda',
      config: { function: 'concat' },
      call: [
        [...image, { axis: -1, name: null }],
        [...image, { axis: -1, name: null }],
      ],
    };
    const twice = all((row, column) => [0, 1, 2, 0, 1, 2].map((channel) => at(row, column, channel)));
    await expectBoth(joined, op('Concatenate', [[x, x]], { axis: -1 }), twice);
  });
});

describe('operations that are not understood are refused by the name of the layer', () => {
  const cases: [string, LayerFile, RegExp][] = [
    ['an unknown function', lambda('math.betainc', image, { y: 3 }), /betainc: layer l0/],
    ['an unknown argument', lambda('math.multiply', image, { y: 3, mystery: 1 }), /multiply: layer l0: with mystery 1/],
    ['an argument that is not a number', lambda('math.multiply', image, { y: 'a' }), /without a tensor or a number y/],
    ['a conversion to whole numbers', lambda('cast', image, { dtype: 'uint8' }), /cast: layer l0: with dtype "uint8"/],
    ['a reduction over everything', lambda('math.reduce_mean', image), /over the batch/],
    ['a resize by another method', lambda('image.resize', image, { size: [2, 2], method: 'area' }), /by area/],
    ['an antialiased resize', lambda('image.resize', image, { size: [2, 2], antialias: true }), /with antialias true/],
  ];
  test.each(cases)('%s', async (_, layer, message) => {
    await expect(answer('2.15.0', [layer])).rejects.toThrow(message);
  });

  test('an operation of Keras 3 with an unknown argument, and one that is unknown', async () => {
    await expect(answer('3.15.1', [op('Add', [x, 3], { mystery: 1 })])).rejects.toThrow(
      /Add: layer l0: with mystery 1/,
    );
    await expect(answer('3.15.1', [op('Betainc', [x, 3])])).rejects.toThrow(/Betainc: layer l0/);
    const cut = [{ class_name: '__slice__', config: { start: 0, stop: 1, step: null } }];
    await expect(answer('3.15.1', [op('GetItem', [x, cut])])).rejects.toThrow(/cuts the batch/);
  });
});
