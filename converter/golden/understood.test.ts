/** Whatever is not understood completely is refused, never skipped; what is understood has the writer's meaning. */
import { describe, expect, test } from 'vitest';
import { GraphWriter, ints, text } from './graph-writer.fixture.ts';
import { INPUT as GRAPH_INPUT } from './graphs.fixture.ts';
import { randomPixels, runConverted } from './harness.fixture.ts';
import { answer, CENTERED, centered, type LayerFile, PIXELS, tensor, type Version } from './layer-files.fixture.ts';

const KERNEL = { kernel: { shape: [1, 1, 3, 2] }, bias: { shape: [2] } };
const conv = (config: object = {}, more: Partial<LayerFile> = {}): LayerFile => ({
  class_name: 'Conv2D',
  config: { filters: 2, kernel_size: [1, 1], ...config },
  weights: KERNEL,
  ...more,
});

async function expectValues(version: Version, layer: LayerFile, expected: (x: number) => number): Promise<void> {
  const values = await answer(version, [CENTERED, layer]);
  values.forEach((value, i) => {
    expect(value).toBeCloseTo(expected(centered[i]!), 4);
  });
  expect(values).toHaveLength(centered.length);
}

describe('a field that is not understood is refused by the names of layer and field', () => {
  const relu = { class_name: 'ReLU', config: { mystery: 1 } };
  const policy = { class_name: 'QuantizedDTypePolicy', config: { mode: 'int8' } };
  const cases: [string, LayerFile, RegExp][] = [
    ['an unknown field', relu, /mystery 1: layer l0/],
    ['of a layer with weights', conv({ mystery: [1] }), /mystery \[1\]: layer l0/],
    ['a low-rank adaptation', conv({ lora_rank: 4 }), /lora_rank 4: layer l0/],
    ['a quantized layer', conv({ dtype: policy }), /dtype .*Quantized.*: layer l0/],
    ['a layer of whole numbers', conv({ dtype: 'int32' }), /dtype "int32": layer l0/],
    ['an inverted Normalization', { class_name: 'Normalization', config: { invert: true } }, /invert true: layer l0/],
    ['a mode of Keras 1', { class_name: 'BatchNormalization', config: { mode: 2 } }, /mode 2: layer l0/],
    ['a resize that crops', resizing({ crop_to_aspect_ratio: true }), /crop_to_aspect_ratio true: layer l0/],
    ['a resize that pads', resizing({ pad_to_aspect_ratio: true }), /pad_to_aspect_ratio true: layer l0/],
    ['filters that the weights do not have', conv({ filters: 3 }), /layer l0: filters: expected 2/],
    ['another kernel size', conv({ kernel_size: 3 }), /layer l0: kernel_size: expected 1 x 1/],
    ['another number of groups', conv({ groups: 3 }), /layer l0: groups: expected 1/],
    ['a weight that no layer reads', conv({ use_bias: false }), /weight l0\/bias: no layer reads it/],
    [
      'channels first',
      { class_name: 'Flatten', config: { data_format: 'channels_first' } },
      /channels_first: layer l0/,
    ],
  ];
  test.each(cases)('%s', async (_, layer, message) => {
    await expect(answer('2.15.0', [layer])).rejects.toThrow(message);
    await expect(answer('3.15.1', [layer])).rejects.toThrow(message);
  });

  test('fields for training only, and absent ones written as null or false, change nothing', async () => {
    const plain = await answer('3.15.1', [conv()]);
    const policy = { module: 'keras', class_name: 'DTypePolicy', config: { name: 'mixed_float16' } };
    const training = { kernel_initializer: {}, bias_regularizer: null, activity_regularizer: {}, trainable: true };
    const absent = { lora_rank: null, quantization_mode: null, dilation_rate: [1, 1], groups: 1, data_format: null };
    expect(await answer('3.15.1', [conv({ ...training, ...absent, dtype: policy })])).toEqual(plain);
  });
});

function resizing(config: object): LayerFile {
  return { class_name: 'Resizing', config: { height: 2, width: 2, ...config } };
}

describe('an argument that is not understood is refused by the name of the layer', () => {
  const modern = (args: unknown[], kwargs: object = {}) => ({ args, kwargs });
  const cases: [string, Version, LayerFile, RegExp][] = [
    ['a number, Keras 3', '3.15.1', conv({}, { call: modern([tensor('image'), 3]) }), /layer l0 is called with/],
    ['training, Keras 2', '2.15.0', conv({}, { call: [['image', 0, 0, { training: true }]] }), /argument training/],
    ['a tensor by name', '3.15.1', conv({}, { call: modern([], { y: tensor('image') }) }), /argument y/],
    ['a constant, Keras 2', '2.15.0', conv({}, { call: [['_CONSTANT_VALUE', -1, 3, {}]] }), /not a tensor/],
    ['an unknown field', '3.15.1', conv({}, { call: { ...modern([tensor('image')]), more: 1 } }), /unknown field more/],
    ['no input', '3.15.1', conv({}, { call: modern([]) }), /layer l0 is called with/],
  ];
  test.each(cases)('%s', async (_, version, layer, message) => {
    await expect(answer(version, [layer])).rejects.toThrow(message);
  });

  test('training off and no mask are known; Keras 3 turns training off where it predicts', async () => {
    const plain = await answer('3.15.1', [conv()]);
    const on = conv({}, { call: modern([tensor('image')], { training: true }) });
    expect(await answer('3.15.1', [on])).toEqual(plain);
    const off = conv({}, { call: modern([tensor('image')], { training: false, mask: null }) });
    expect(await answer('3.15.1', [off])).toEqual(plain);
    expect(await answer('2.15.0', [conv({}, { call: [['image', 0, 0, { training: false }]] })])).toEqual(plain);
  });

  test("a user's class is not mistaken for Keras' class of that name", async () => {
    const own = conv({}, { module: 'my_layers' });
    await expect(answer('3.15.1', [own])).rejects.toThrow(/layer l0 is a class of my_layers/);
    await expect(answer('3.15.1', [conv({}, { module: 'keras.layers' })])).resolves.toBeDefined();
  });
});

describe('activations mean what their writer means', () => {
  const activation = (value: unknown): LayerFile => ({ class_name: 'Activation', config: { activation: value } });
  const object = (class_name: string, config: object) => ({ module: 'keras.layers', class_name, config });

  test('hard_sigmoid is another function in Keras 3', async () => {
    const two = (x: number) => Math.min(Math.max(0.2 * x + 0.5, 0), 1);
    const three = (x: number) => Math.min(Math.max(x + 3, 0), 6) / 6;
    await expectValues('2.15.0', activation('hard_sigmoid'), two);
    await expectValues('tfjs-layers 4.22.0', activation('hardSigmoid'), two);
    await expectValues('3.15.1', activation('hard_sigmoid'), three);
    await expectValues('3.15.1', activation({ class_name: 'function', config: 'hard_sigmoid' }), three);
  });

  test('an activation that is a layer keeps its configuration', async () => {
    const leaky = (slope: number) => (x: number) => (x < 0 ? slope * x : x);
    await expectValues('2.15.0', activation(object('LeakyReLU', { alpha: 0.3, trainable: true })), leaky(0.3));
    await expectValues('3.15.1', activation(object('LeakyReLU', { negative_slope: 0.45 })), leaky(0.45));
    const dented = { max_value: 2, threshold: 0.5, negative_slope: 0.1 };
    const expected = (x: number) => (x <= 0.5 ? 0.1 * (x - 0.5) : Math.min(x, 2));
    await expectValues('3.15.1', activation(object('ReLU', dented)), expected);
    await expectValues('2.15.0', { class_name: 'ReLU', config: dented }, expected);
    await expectValues('3.15.1', activation(object('ReLU', { max_value: 6, threshold: 0, negative_slope: 0 })), (x) =>
      Math.min(Math.max(x, 0), 6),
    );
    await expectValues('3.15.1', activation(object('ELU', { alpha: 0.5 })), (x) => (x < 0 ? 0.5 * Math.expm1(x) : x));
    await expectValues(
      '3.15.1',
      activation(object('Activation', { activation: 'hard_sigmoid' })),
      (x) => Math.min(Math.max(x + 3, 0), 6) / 6,
    );
  });

  const refused: [string, unknown, RegExp][] = [
    ['one that is not known', 'sparsemoid', /activation sparsemoid/],
    ['a field of one', object('ReLU', { mystery: 2 }), /mystery 2: layer l0: activation/],
    ['one with weights', object('PReLU', { shared_axes: [1, 2] }), /activation PReLU/],
    ["a user's own", { module: 'mine', class_name: 'ReLU', config: {} }, /activation ReLU/],
    ['constructor', object('constructor', {}), /activation constructor/],
  ];
  test.each(refused)('%s is refused', async (_, value, message) => {
    await expect(answer('3.15.1', [activation(value)])).rejects.toThrow(message);
    await expect(answer('3.15.1', [conv({ activation: value })])).rejects.toThrow(message);
  });
});

describe('layers mean what their writer means', () => {
  test('Rescaling and Normalization with a number per channel', async () => {
    const scale = [0.5, 2, 3];
    const offset = [-1, 0, 1];
    const wrap = (value: number[]) => ({ class_name: '__numpy__', config: { value, dtype: 'float32' } });
    const expected = [...PIXELS].map((pixel, i) => pixel * scale[i % 3]! + offset[i % 3]!);
    for (const config of [
      { scale, offset },
      { scale: wrap(scale), offset: wrap(offset) },
    ]) {
      expect(await answer('3.15.1', [{ class_name: 'Rescaling', config }])).toEqual(expected);
    }
    const mean = [10, 20, 30];
    const variance = [4, 16, 25];
    const normal = [...PIXELS].map((pixel, i) => (pixel - mean[i % 3]!) / Math.sqrt(variance[i % 3]!));
    const close = (values: number[]) => {
      for (const [i, value] of values.entries()) expect(value).toBeCloseTo(normal[i]!, 4);
    };
    const axis = [-1];
    close(await answer('2.15.0', [{ class_name: 'Normalization', config: { axis, mean, variance, invert: false } }]));
    const nested = { axis, mean: [[[mean]]], variance: [[[variance]]] };
    close(await answer('3.15.1', [{ class_name: 'Normalization', config: nested }]));
    const weights = {
      mean: { shape: [3], data: mean },
      variance: { shape: [3], data: variance },
      count: { shape: [], data: [40] },
    };
    close(await answer('2.15.0', [{ class_name: 'Normalization', config: { axis }, weights }]));
  });

  test.each([
    ['2.15.0', []],
    ['3.15.1', null],
  ] as const)('Normalization by one mean and deviation, as Keras %s saves axis=None', async (version, axis) => {
    const config = { axis, mean: 20, variance: 16, invert: false };
    expect(await answer(version, [{ class_name: 'Normalization', config }])).toEqual(
      [...PIXELS].map((pixel) => (pixel - 20) / 4),
    );
  });

  test.each([1, 3, -1])('GroupNormalization of %i groups', async (groups) => {
    const gamma = [0.5, 2, 3];
    const beta = [-1, 0, 1];
    const weights = { gamma: { shape: [3], data: gamma }, beta: { shape: [3], data: beta } };
    const config = { groups, axis: -1, epsilon: 0.5, center: true, scale: true };
    const found = await answer('3.15.1', [CENTERED, { class_name: 'GroupNormalization', config, weights }]);
    const groupOf = (channel: number) => (groups === 1 ? 0 : channel);
    const expected = centered.map((value, i) => {
      const members = centered.filter((_, k) => groupOf(k % 3) === groupOf(i % 3));
      const mean = members.reduce((a, b) => a + b, 0) / members.length;
      const variance = members.reduce((sum, member) => sum + (member - mean) ** 2, 0) / members.length;
      return ((value - mean) / Math.sqrt(variance + 0.5)) * gamma[i % 3]! + beta[i % 3]!;
    });
    for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i]!, 4);
    expect(found).toHaveLength(centered.length);
    const plain = { class_name: 'GroupNormalization', config: { ...config, center: false, scale: false } };
    await expect(answer('3.15.1', [plain])).resolves.toHaveLength(centered.length);
    const odd = { class_name: 'GroupNormalization', config: { ...config, groups: 2 }, weights };
    await expect(answer('3.15.1', [odd])).rejects.toThrow(/layer l0: 3 channels, 2 groups/);
  });

  test('a bilinear UpSampling2D counts from the middle of pixels for Keras, from their corner for tfjs', async () => {
    const layer = { class_name: 'UpSampling2D', config: { size: [1, 2], interpolation: 'bilinear' } };
    const row = [PIXELS[0]!, PIXELS[3]!, PIXELS[6]!];
    const mix = (at: number) => {
      const left = Math.min(Math.max(Math.floor(at), 0), 2);
      const part = Math.min(Math.max(at - left, 0), 1);
      return row[left]! * (1 - part) + row[Math.min(left + 1, 2)]! * part;
    };
    const firstRow = (values: number[]) => Array.from({ length: 6 }, (_, column) => values[column * 3]);
    const columns = Array.from({ length: 6 }, (_, column) => column);
    const middle = columns.map((column) => mix((column + 0.5) / 2 - 0.5));
    expect(firstRow(await answer('2.15.0', [layer]))).toEqual(middle);
    expect(firstRow(await answer('3.15.1', [layer]))).toEqual(middle);
    const corner = columns.map((column) => mix(column / 2));
    expect(firstRow(await answer('tfjs-layers 4.22.0', [layer]))).toEqual(corner);
  });

  test('a dilated DepthwiseConv2D is dilated for Keras, and not for tfjs, which ignores it', async () => {
    const layer: LayerFile = {
      class_name: 'DepthwiseConv2D',
      config: { kernel_size: [2, 2], dilation_rate: [2, 2], padding: 'valid', use_bias: false, depth_multiplier: 1 },
      weights: { depthwise_kernel: { shape: [2, 2, 3, 1], data: Array(12).fill(1) } },
    };
    expect(await answer('2.15.0', [layer])).toHaveLength(2 * 1 * 3);
    expect(await answer('tfjs-layers 4.22.0', [layer])).toHaveLength(3 * 2 * 3);
  });
});

describe('attributes and inputs of graph nodes that are not understood are refused', () => {
  const run = (write: (graph: GraphWriter) => string) => {
    const writer = new GraphWriter();
    return runConverted(writer.model(write(writer)), randomPixels(GRAPH_INPUT, 1), GRAPH_INPUT);
  };

  test('an attribute, by its name', async () => {
    await expect(run((g) => g.node('Relu', ['image'], { mystery: { i: '3' } }))).rejects.toThrow(/attribute mystery/);
    await expect(run((g) => g.node('Relu', ['image'], { mystery: { b: false }, _output_shapes: { i: '1' } })))
      .resolves //
      .toBeDefined();
  });

  test('what TensorFlow 2.19 writes with a fused convolution is known, and another order of its kernel is not', async () => {
    const fused = (order: string) => (g: GraphWriter) =>
      g.node('_FusedConv2D', ['image', g.weights(3, 3, 3, 4), g.weights(4)], {
        ...conv2d,
        filter_format: { s: text(order) },
      });
    const list = { list: {} };
    const conv2d = {
      strides: ints(1, 1, 1, 1),
      dilations: ints(1, 1, 1, 1),
      padding: { s: text('SAME') },
      data_format: { s: text('NHWC') },
      fused_ops: { list: { s: [text('BiasAdd'), text('Relu')] } },
      explicit_paddings: list,
      use_cudnn_on_gpu: { b: true },
      num_args: { i: '1' },
      num_host_args: { i: '0' },
      TArgs: { list: { type: ['DT_FLOAT'] } },
      epsilon: { f: 0 },
      leakyrelu_alpha: { f: 0.2 },
      T: { type: 'DT_FLOAT' },
    };
    await expect(run(fused('HWIO'))).resolves.toBeDefined();
    await expect(run(fused('OIHW'))).rejects.toThrow(/filter_format oihw/);
  });

  test('an input too many, a second image, a normalization in training', async () => {
    await expect(run((g) => g.node('Relu', ['image', 'image']))).rejects.toThrow(/with an input 1/);
    await expect(run((g) => g.node('Add', ['image', g.node('Placeholder', [])]))).rejects.toThrow(
      /several inputs \(Placeholder_\d+, image\): a request has one image\. Save a model that takes only that/,
    );
    const norm = (g: GraphWriter) =>
      g.node('FusedBatchNormV3', ['image', g.positive(3), g.weights(3), g.weights(3), g.positive(3)], {
        is_training: { b: true },
      });
    await expect(run(norm)).rejects.toThrow(/in training/);
  });

  test('a tensor whose size depends on the number of images does not fit one that has another size', async () => {
    const filled = (g: GraphWriter) => {
      const sizes = g.node('StridedSlice', [g.node('Shape', ['image']), g.ints(0), g.ints(2), g.ints(1)]);
      const count = g.node('Prod', [sizes, g.ints(0)], { keep_dims: { b: true } });
      return g.node('Add', ['image', g.node('Fill', [count, g.float(1)])]);
    };
    await expect(run(filled)).rejects.toThrow(/does not cover Add: node Add_\d+: shapes .* do not fit/);
  });

  test('slices of shapes with an ellipsis or a new axis are not computed as if there were none', async () => {
    const sliced = (g: GraphWriter) => {
      const part = g.node('StridedSlice', [g.ints(11, 8, 3), g.ints(0), g.ints(1), g.ints(1)], {
        new_axis_mask: { i: '1' },
      });
      return g.node('Reshape', ['image', part]);
    };
    await expect(run(sliced)).rejects.toThrow(/ellipsis or a new axis/);
  });
});
