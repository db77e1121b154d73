/** Operations on tensors that Keras 3, and partly Keras 2, writes: each against plain arithmetic. */
import { describe, expect, test } from 'vitest';
import { answer, CENTERED, centered, type LayerFile, tensor } from './layer-files.fixture.ts';
import { lambda, op, x } from './operation-files.fixture.ts';

/** Rows, columns and channels of the fixture's images. */
const [ROWS, COLUMNS, CHANNELS] = [4, 3, 3];
const at = (row: number, column: number, channel: number) => centered[(row * COLUMNS + column) * CHANNELS + channel]!;
const indices = (count: number) => Array.from({ length: count }, (_, i) => i);
/** What `make` gives for each pixel, row by row. */
const pixels = (make: (row: number, column: number) => number[]) =>
  indices(ROWS).flatMap((row) => indices(COLUMNS).flatMap((column) => make(row, column)));
const channels = (row: number, column: number) => indices(CHANNELS).map((channel) => at(row, column, channel));
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

function expectClose(values: readonly number[], expected: readonly number[]): void {
  expect(values).toHaveLength(expected.length);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, 4);
}

const sign = (value: number) => Math.sign(value);
/** To the even number if two are as near. */
const roundToEven = (value: number) => (Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

describe('an operation on each value', () => {
  const cases: [string, LayerFile, LayerFile | undefined, (v: number) => number][] = [
    ['round', op('Round', [x], { decimals: 0 }), lambda('math.round'), roundToEven],
    ['expm1', op('Expm1', [x]), lambda('math.expm1'), Math.expm1],
    ['log-sigmoid', op('LogSigmoid', [x]), lambda('math.log_sigmoid'), (v) => -Math.log1p(Math.exp(-v))],
    ['hard tanh', op('HardTanh', [x]), undefined, (v) => Math.min(Math.max(v, -1), 1)],
    ['tanh shrink', op('TanhShrink', [x]), undefined, (v) => v - Math.tanh(v)],
    [
      'soft shrink',
      op('SoftShrink', [x], { threshold: 0.5 }),
      undefined,
      (v) => sign(v) * Math.max(Math.abs(v) - 0.5, 0),
    ],
    ['hard shrink', op('HardShrink', [x], { threshold: 0.5 }), undefined, (v) => (Math.abs(v) > 0.501 ? v : 0)],
    ['squareplus', op('Squareplus', [x], { b: 4 }), undefined, (v) => (v + Math.sqrt(v * v + 4)) / 2],
    ['sparse sigmoid', op('SparseSigmoid', [x]), undefined, (v) => Math.min(Math.max(v / 2 + 0.5, 0), 1)],
    ['celu', op('Celu', [x], { alpha: 0.3 }), undefined, (v) => (v > 0 ? v : 0.3 * Math.expm1(v / 0.3))],
    ['x // 0.73', op('FloorDivide', [x, 0.73]), lambda('math.floordiv', { y: 0.73 }), (v) => Math.floor(v / 0.73)],
    ['x > 0.5', op('Greater', [x, 0.5]), lambda('math.greater', { y: 0.5 }), (v) => Number(v > 0.5)],
    ['x <= 0.5', op('LessEqual', [x, 0.5]), lambda('math.less_equal', { y: 0.5 }), (v) => Number(v <= 0.5)],
    ['where', op('Where', [x, x, 7]), undefined, (v) => (v === 0 ? 7 : v)],
  ];
  test.each(cases)('%s', async (_, three, two, expected) => {
    const values = centered.map(expected);
    expectClose(await answer('3.15.1', [CENTERED, three]), values);
    if (two) expectClose(await answer('2.15.0', [CENTERED, two]), values);
  });

  test('logarithms of values above zero', async () => {
    const positive = { class_name: 'Rescaling', config: { scale: 1 / 25, offset: 0.5 } };
    const [log2, log10, log1p] = await Promise.all(
      ['Log2', 'Log10', 'Log1p'].map((name) => answer('3.15.1', [positive, op(name, [x])])),
    );
    const values = centered.map((value) => value + 4);
    expectClose(log2!, values.map(Math.log2));
    expectClose(log10!, values.map(Math.log10));
    expectClose(log1p!, values.map(Math.log1p));
  });

  test('the squared difference of Keras 2', async () => {
    const values = await answer('2.15.0', [CENTERED, lambda('math.squared_difference', { y: 0.5 })]);
    expectClose(
      values,
      centered.map((value) => (value - 0.5) ** 2),
    );
  });
});

describe('an operation over channels', () => {
  const mean = (values: number[]) => sum(values) / values.length;
  const variance = (values: number[]) => mean(values.map((value) => (value - mean(values)) ** 2));
  const length = (values: number[]) => Math.hypot(...values);
  const softmax = (values: number[]) => values.map((value) => Math.exp(value) / sum(values.map(Math.exp)));
  const last = { axis: -1, keepdims: false };
  const cases: [string, LayerFile, LayerFile | undefined, (values: number[]) => number[]][] = [
    ['var', op('Var', [x], last), lambda('math.reduce_variance', last), (v) => [variance(v)]],
    ['std', op('Std', [x], { ...last, axis: [-1] }), lambda('math.reduce_std', last), (v) => [Math.sqrt(variance(v))]],
    ['softmax', op('Softmax', [x], { axis: -1 }), lambda('nn.softmax', { axis: null }), softmax],
    ['prod', op('Prod', [x], last), lambda('math.reduce_prod', last), (v) => [v.reduce((a, b) => a * b)]],
    [
      'logsumexp',
      op('Logsumexp', [x], last),
      lambda('math.reduce_logsumexp', last),
      (v) => [Math.log(sum(v.map(Math.exp)))],
    ],
    ['norm', op('Norm', [x], { ...last, axis: [-1], ord: null }), undefined, (v) => [length(v)]],
    [
      'unit length',
      op('Normalize', [x], { axis: -1, order: 2, epsilon: null }),
      lambda('math.l2_normalize', { axis: -1 }),
      (v) => v.map((value) => value / length(v)),
    ],
    ['log-softmax', op('LogSoftmax', [x], { axis: -1 }), lambda('nn.log_softmax'), (v) => softmax(v).map(Math.log)],
    [
      'gray',
      op('RGBToGrayscale', [x], { data_format: 'channels_last' }),
      undefined,
      (v) => [sum(v.map((value, i) => value * [0.2989, 0.587, 0.114][i]!))],
    ],
  ];
  test.each(cases)('%s', async (_, three, two, expected) => {
    const values = pixels((row, column) => expected(channels(row, column)));
    expectClose(await answer('3.15.1', [CENTERED, three]), values);
    if (two) expectClose(await answer('2.15.0', [CENTERED, two]), values);
  });
});

describe('a layer that divides by the length of values', () => {
  const length = (values: number[]) => Math.hypot(...values);
  const unit = pixels((row, column) => channels(row, column).map((v) => v / length(channels(row, column))));

  test.each(['2.15.0', '3.15.1'] as const)('UnitNormalization, %s', async (version) => {
    expectClose(await answer(version, [CENTERED, { class_name: 'UnitNormalization', config: { axis: -1 } }]), unit);
    const whole = { class_name: 'UnitNormalization', config: { axis: [1, 2, 3] } };
    expectClose(
      await answer(version, [CENTERED, whole]),
      centered.map((v) => v / length(centered)),
    );
  });

  test('nothing is divided by zero, and a short row is what each version makes of it', async () => {
    const tiny = { class_name: 'Rescaling', config: { scale: 0, offset: 1e-7 } };
    const layer = { class_name: 'UnitNormalization', config: { axis: -1 } };
    const [two, three] = [await answer('2.15.0', [tiny, layer]), await answer('3.15.1', [tiny, layer])];
    expectClose(two, Array(centered.length).fill(0.1));
    expectClose(three, Array(centered.length).fill(1 / Math.sqrt(3)));
    const zero = { class_name: 'Rescaling', config: { scale: 0 } };
    expectClose(await answer('3.15.1', [zero, layer]), Array(centered.length).fill(0));
  });

  test('RMSNormalization', async () => {
    const scale = { shape: [3], data: [0.5, 1, -2] };
    const layer = { class_name: 'RMSNormalization', config: { axis: [-1], epsilon: 0.25 }, weights: { scale } };
    const expected = pixels((row, column) => {
      const root = Math.sqrt(length(channels(row, column)) ** 2 / CHANNELS + 0.25);
      return channels(row, column).map((v, i) => (v / root) * scale.data[i]!);
    });
    expectClose(await answer('3.15.1', [CENTERED, layer]), expected);
  });

  test('over the batch is refused', async () => {
    const layer = { class_name: 'UnitNormalization', config: { axis: [0, 1] } };
    await expect(answer('3.15.1', [layer])).rejects.toThrow(/UnitNormalization: layer l0: over axis 0, 1/);
  });
});

describe('an operation that moves values', () => {
  const turned = indices(CHANNELS).flatMap((channel) =>
    indices(ROWS).flatMap((row) => indices(COLUMNS).map((column) => at(row, column, channel))),
  );
  const cases: [string, LayerFile, number[]][] = [
    ['flip', op('Flip', [x], { axis: 2 }), pixels((row, column) => channels(row, COLUMNS - 1 - column))],
    [
      'swapaxes',
      op('Swapaxes', [x], { axis1: 1, axis2: 2 }),
      indices(COLUMNS).flatMap((column) => indices(ROWS).flatMap((row) => channels(row, column))),
    ],
    ['moveaxis', op('Moveaxis', [x], { source: [-1], destination: [1] }), turned],
    ['stack', op('Stack', [[x, x]], { axis: -1 }), centered.flatMap((value) => [value, value])],
    ['take', op('Take', [x, [2, 0]], { axis: -1 }), pixels((row, column) => [at(row, column, 2), at(row, column, 0)])],
    ['take one', op('Take', [x, -1], { axis: 1 }), indices(COLUMNS).flatMap((column) => channels(ROWS - 1, column))],
    [
      'pad',
      op('Pad', [x, 9], {
        pad_width: [
          [0, 0],
          [0, 1],
          [0, 0],
          [0, 0],
        ],
        mode: 'constant',
      }),
      [...centered, ...Array(COLUMNS * CHANNELS).fill(9)],
    ],
    [
      'pad by reflection',
      op('Pad', [x], {
        pad_width: [
          [0, 0],
          [1, 0],
          [0, 0],
          [0, 0],
        ],
        mode: 'reflect',
      }),
      [...indices(COLUMNS).flatMap((column) => channels(1, column)), ...centered],
    ],
  ];
  test.each(cases)('%s', async (_, layer, expected) => {
    expectClose(await answer('3.15.1', [CENTERED, layer]), expected);
  });

  test('a product of matrices, with the second one transposed', async () => {
    // Per row: [columns, channels] times [channels, columns].
    const turned = { ...op('Transpose', [x], { axes: [0, 1, 3, 2] }) };
    const product = op('Matmul', [x, tensor('l1')]);
    const columns = indices(COLUMNS);
    const expected = pixels((row, column) =>
      columns.map((other) =>
        sum(indices(CHANNELS).map((channel) => at(row, column, channel) * at(row, other, channel))),
      ),
    );
    expectClose(await answer('3.15.1', [CENTERED, turned, product]), expected);
    const call = ['l0', 0, 0, { b: ['l0', 0, 0], transpose_b: true, name: null }];
    expectClose(await answer('2.15.0', [CENTERED, { ...lambda('linalg.matmul'), call }]), expected);
  });

  test('functions of TensorFlow that have other names', async () => {
    const width = [
      [0, 0],
      [0, 0],
      [1, 0],
      [0, 0],
    ];
    const padded = lambda('compat.v1.pad', { paddings: width, mode: 'CONSTANT', constant_values: 9 });
    const empty = Array(CHANNELS).fill(9);
    const expected = indices(ROWS).flatMap((row) => [...empty, ...indices(COLUMNS).flatMap((i) => channels(row, i))]);
    expectClose(await answer('2.15.0', [CENTERED, padded]), expected);
    const turned = pixels((row, column) => channels(ROWS - 1 - row, column));
    expectClose(await answer('2.15.0', [CENTERED, lambda('reverse', { axis: [1] })]), turned);
    const some = lambda('compat.v1.gather', { indices: [2, 1], axis: -1, batch_dims: 0 });
    const chosen = pixels((row, column) => [at(row, column, 2), at(row, column, 1)]);
    expectClose(await answer('2.15.0', [CENTERED, some]), chosen);
    const split = lambda('split', { num_or_size_splits: [1, 2], axis: -1 });
    const doubled = { ...lambda('math.multiply'), call: ['l1', 0, 1, { y: 2, name: null }] };
    const parts = pixels((row, column) => [at(row, column, 1) * 2, at(row, column, 2) * 2]);
    expectClose(await answer('2.15.0', [CENTERED, split, doubled]), parts);
  });

  test("split and unstack: the second part is the model's output", async () => {
    const times = op('Multiply', [tensor('l1', 1), 2]);
    const split = op('Split', [x], { indices_or_sections: [1], axis: -1 });
    const parts = pixels((row, column) => [at(row, column, 1) * 2, at(row, column, 2) * 2]);
    expectClose(await answer('3.15.1', [CENTERED, split, times]), parts);
    const unstack = op('Unstack', [x], { num: null, axis: 3 });
    const plane = pixels((row, column) => [at(row, column, 1) * 2]);
    expectClose(await answer('3.15.1', [CENTERED, unstack, times]), plane);
  });
});
