import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { compareLayersModel, inputOf } from './harness.fixture.ts';

const LIMIT = 1e-5;

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** A model whose layer under test sees `channels` channels of odd-sized images. */
async function difference(
  layers: (image: tf.SymbolicTensor) => tf.SymbolicTensor,
  { height = 11, width = 8, channels = 5 }: { height?: number; width?: number; channels?: number } = {},
): Promise<number> {
  const input = inputOf(height, width, 3);
  const image = tf.input({ shape: [height, width, 3] });
  const mixed = tf.layers.conv2d({ filters: channels, kernelSize: 1, activation: 'linear' }).apply(image);
  const outputs = layers(mixed as tf.SymbolicTensor);
  return (await compareLayersModel(tf.model({ inputs: image, outputs }), input)).difference;
}

const apply = (layer: tf.layers.Layer, ...inputs: tf.SymbolicTensor[]) =>
  layer.apply(inputs.length === 1 && inputs[0] ? inputs[0] : inputs) as tf.SymbolicTensor;

describe('convolutions agree with tfjs', () => {
  for (const padding of ['same', 'valid'] as const) {
    for (const kernelSize of [1, 2, 3, 4, [5, 2]] as (number | [number, number])[]) {
      for (const strides of [1, 2, 3, [2, 1]] as (number | [number, number])[]) {
        test(`Conv2D, Depthwise and Separable, ${padding}, kernel ${kernelSize}, strides ${strides}`, async () => {
          const options = { kernelSize, strides, padding };
          expect(await difference((x) => apply(tf.layers.conv2d({ filters: 7, ...options }), x))).toBeLessThan(LIMIT);
          const square = Array.isArray(strides) ? strides[0] : strides;
          const even = { ...options, strides: square as number };
          for (const depthMultiplier of [1, 3]) {
            const depthwise = tf.layers.depthwiseConv2d({ ...even, depthMultiplier, useBias: depthMultiplier === 3 });
            expect(await difference((x) => apply(depthwise, x))).toBeLessThan(LIMIT);
          }
          const separable = tf.layers.separableConv2d({ filters: 6, ...even, depthMultiplier: 2 });
          expect(await difference((x) => apply(separable, x))).toBeLessThan(LIMIT);
        });
      }
    }
    for (const dilationRate of [2, 3, [2, 1]] as (number | [number, number])[]) {
      test(`Conv2D and Depthwise, ${padding}, dilation ${dilationRate}`, async () => {
        const options = { kernelSize: 3, padding, dilationRate };
        expect(await difference((x) => apply(tf.layers.conv2d({ filters: 4, ...options }), x))).toBeLessThan(LIMIT);
        expect(await difference((x) => apply(tf.layers.depthwiseConv2d(options), x))).toBeLessThan(LIMIT);
      });
    }
    for (const kernelSize of [1, 2, 3, 4]) {
      for (const strides of [1, 2, 3]) {
        test(`Conv2DTranspose, ${padding}, kernel ${kernelSize}, strides ${strides}`, async () => {
          const layer = tf.layers.conv2dTranspose({ filters: 4, kernelSize, strides, padding });
          expect(await difference((x) => apply(layer, x))).toBeLessThan(LIMIT);
        });
      }
    }
  }
});

describe('pooling, padding and resizing agree with tfjs', () => {
  for (const padding of ['same', 'valid'] as const) {
    for (const poolSize of [2, 3, [3, 2]] as (number | [number, number])[]) {
      for (const strides of [1, 2, 3] as number[]) {
        test(`Max and average, ${padding}, size ${poolSize}, strides ${strides}`, async () => {
          const options = { poolSize, strides, padding } as Parameters<typeof tf.layers.maxPooling2d>[0];
          expect(await difference((x) => apply(tf.layers.maxPooling2d(options), x))).toBeLessThan(LIMIT);
          expect(await difference((x) => apply(tf.layers.averagePooling2d(options), x))).toBeLessThan(LIMIT);
        });
      }
    }
  }
  const layers: [string, () => tf.layers.Layer][] = [
    ['GlobalAveragePooling2D', () => tf.layers.globalAveragePooling2d({})],
    ['GlobalMaxPooling2D', () => tf.layers.globalMaxPooling2d({})],
    ['ZeroPadding2D by one number', () => tf.layers.zeroPadding2d({ padding: 2 })],
    [
      'ZeroPadding2D by four',
      () =>
        tf.layers.zeroPadding2d({
          padding: [
            [0, 1],
            [3, 2],
          ],
        }),
    ],
    [
      'Cropping2D',
      () =>
        tf.layers.cropping2D({
          cropping: [
            [1, 2],
            [0, 3],
          ],
        }),
    ],
    ['UpSampling2D nearest', () => tf.layers.upSampling2d({ size: [2, 3] })],
    ['UpSampling2D bilinear', () => tf.layers.upSampling2d({ size: [3, 2], interpolation: 'bilinear' })],
    ['Reshape', () => tf.layers.reshape({ targetShape: [4, -1, 10] as number[] })],
    ['Flatten', () => tf.layers.flatten({})],
    ['Permute', () => tf.layers.permute({ dims: [3, 1, 2] })],
  ];
  test.each(layers)('%s', async (_, layer) => {
    expect(await difference((x) => apply(layer(), x))).toBeLessThan(LIMIT);
  });
  test('padding in front of a pooling that is not all positive', async () => {
    const padded = (x: tf.SymbolicTensor) => apply(tf.layers.zeroPadding2d({ padding: 1 }), x);
    const pooled = (x: tf.SymbolicTensor) => apply(tf.layers.maxPooling2d({ poolSize: 3, strides: 2 }), x);
    expect(await difference((x) => pooled(padded(x)))).toBeLessThan(LIMIT);
    const averaged = (x: tf.SymbolicTensor) => apply(tf.layers.averagePooling2d({ poolSize: 3, strides: 2 }), x);
    expect(await difference((x) => averaged(padded(x)))).toBeLessThan(LIMIT);
    const positive = (x: tf.SymbolicTensor) => apply(tf.layers.reLU({}), x);
    expect(await difference((x) => pooled(padded(positive(x))))).toBeLessThan(LIMIT);
  });
});

describe('activations agree with tfjs', () => {
  test.each([
    'elu',
    'hardSigmoid',
    'linear',
    'relu',
    'relu6',
    'selu',
    'sigmoid',
    'softmax',
    'softplus',
    'softsign',
    'tanh',
    'swish',
    'mish',
    'gelu',
    'gelu_new',
  ] as const)('%s, as a layer, in a convolution and in a dense layer', async (activation) => {
    expect(await difference((x) => apply(tf.layers.activation({ activation }), x))).toBeLessThan(LIMIT);
    const conv = tf.layers.conv2d({ filters: 3, kernelSize: 2, activation });
    const dense = tf.layers.dense({ units: 6, activation });
    expect(await difference((x) => apply(dense, apply(tf.layers.flatten(), apply(conv, x))))).toBeLessThan(LIMIT);
  });
  const layers: [string, () => tf.layers.Layer][] = [
    ['ReLU', () => tf.layers.reLU({})],
    ['ReLU with a maximum', () => tf.layers.reLU({ maxValue: 0.7 })],
    ['LeakyReLU', () => tf.layers.leakyReLU({ alpha: 0.17 })],
    ['PReLU', () => tf.layers.prelu({})],
    ['PReLU with shared axes', () => tf.layers.prelu({ sharedAxes: [1, 2] })],
    ['ELU', () => tf.layers.elu({})],
    ['ThresholdedReLU', () => tf.layers.thresholdedReLU({ theta: 0.3 })],
    ['Softmax over channels', () => tf.layers.softmax({ axis: -1 })],
    ['Rescaling', () => tf.layers.rescaling({ scale: 0.4, offset: -0.3 })],
  ];
  test.each(layers)('%s', async (_, layer) => {
    expect(await difference((x) => apply(layer(), x))).toBeLessThan(LIMIT);
  });
});

describe('normalization, dense and merging layers agree with tfjs', () => {
  test('BatchNormalization behind a layer, in front of one, and on vectors', async () => {
    for (const options of [{}, { scale: false }, { center: false }, { epsilon: 0.01 }]) {
      const norm = () => tf.layers.batchNormalization(options);
      const conv = (x: tf.SymbolicTensor) => apply(tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same' }), x);
      const up = (x: tf.SymbolicTensor) =>
        apply(tf.layers.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' }), x);
      const depthwise = (x: tf.SymbolicTensor) =>
        apply(tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }), x);
      const vector = (x: tf.SymbolicTensor) => apply(tf.layers.dense({ units: 5 }), apply(tf.layers.flatten(), x));
      expect(await difference((x) => apply(norm(), conv(x)))).toBeLessThan(LIMIT);
      expect(await difference((x) => apply(norm(), up(x)))).toBeLessThan(LIMIT);
      expect(await difference((x) => apply(norm(), depthwise(x)))).toBeLessThan(LIMIT);
      expect(await difference((x) => conv(apply(tf.layers.reLU(), apply(norm(), x))))).toBeLessThan(LIMIT);
      expect(await difference((x) => apply(norm(), vector(x)))).toBeLessThan(LIMIT);
    }
  });
  test('LayerNormalization', async () => {
    expect(await difference((x) => apply(tf.layers.layerNormalization({ epsilon: 1e-6 }), x))).toBeLessThan(LIMIT);
  });
  test('Dense on images and on vectors, with and without a bias', async () => {
    expect(await difference((x) => apply(tf.layers.dense({ units: 7 }), x))).toBeLessThan(LIMIT);
    const plain = tf.layers.dense({ units: 3, useBias: false });
    expect(await difference((x) => apply(plain, apply(tf.layers.flatten(), x)))).toBeLessThan(LIMIT);
  });
  test('Dropout and noise do nothing', async () => {
    const layers: tf.layers.Layer[] = [tf.layers.dropout({ rate: 0.5 }), tf.layers.gaussianNoise({ stddev: 1 })];
    layers.push(tf.layers.gaussianDropout({ rate: 0.5 }), tf.layers.alphaDropout({ rate: 0.5 }));
    expect(await difference((x) => layers.reduce((at, layer) => apply(layer, at), x))).toBeLessThan(LIMIT);
  });
  const merges: [string, () => tf.layers.Layer][] = [
    ['Add', () => tf.layers.add()],
    ['Multiply', () => tf.layers.multiply()],
    ['Average', () => tf.layers.average()],
    ['Maximum', () => tf.layers.maximum()],
    ['Minimum', () => tf.layers.minimum()],
    ['Concatenate', () => tf.layers.concatenate({ axis: 3 })],
    ['Concatenate of rows', () => tf.layers.concatenate({ axis: 1 })],
  ];
  test.each(merges)('%s of three images and of three vectors', async (name, merge) => {
    const branch = (x: tf.SymbolicTensor) => apply(tf.layers.conv2d({ filters: 5, kernelSize: 1 }), x);
    expect(await difference((x) => apply(merge(), branch(x), x, branch(x)))).toBeLessThan(LIMIT);
    if (name === 'Concatenate') return;
    const vector = (x: tf.SymbolicTensor) => apply(tf.layers.dense({ units: 4 }), apply(tf.layers.flatten(), x));
    expect(await difference((x) => apply(merge(), vector(x), vector(x), vector(x)))).toBeLessThan(LIMIT);
  });
  test.each(merges.slice(0, 5))('%s of an image and a vector, which is spread over the image', async (_, merge) => {
    const pooled = (x: tf.SymbolicTensor) => apply(tf.layers.globalAveragePooling2d({}), x);
    expect(await difference((x) => apply(merge(), x, pooled(x)))).toBeLessThan(LIMIT);
    expect(await difference((x) => apply(merge(), pooled(x), x, x))).toBeLessThan(LIMIT);
    const row = (x: tf.SymbolicTensor) => apply(tf.layers.reshape({ targetShape: [8, 5] }), rows(x));
    const rows = (x: tf.SymbolicTensor) => apply(tf.layers.averagePooling2d({ poolSize: [11, 1] }), x);
    expect(await difference((x) => apply(merge(), x, row(x)))).toBeLessThan(LIMIT);
  });
  test('a squeeze-and-excitation block: a gate of one pixel is spread over the image', async () => {
    const gated = (x: tf.SymbolicTensor) => {
      const squeezed = apply(
        tf.layers.reshape({ targetShape: [1, 1, 5] }),
        apply(tf.layers.globalAveragePooling2d({}), x),
      );
      const gate = apply(tf.layers.conv2d({ filters: 5, kernelSize: 1, activation: 'sigmoid' }), squeezed);
      return apply(tf.layers.multiply(), x, gate);
    };
    expect(await difference(gated)).toBeLessThan(LIMIT);
  });
});
