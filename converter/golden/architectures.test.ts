import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { compareLayersModel, inputOf } from './harness.fixture.ts';

const LIMIT = 1e-5;
const INPUT = inputOf(33, 29, 3);

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type Tensor = tf.SymbolicTensor;

const apply = (layer: tf.layers.Layer, ...inputs: Tensor[]): Tensor =>
  layer.apply(inputs.length === 1 && inputs[0] ? inputs[0] : inputs) as Tensor;
const conv = (x: Tensor, filters: number, kernelSize: number, strides = 1, padding: 'same' | 'valid' = 'same') =>
  apply(tf.layers.conv2d({ filters, kernelSize, strides, padding, useBias: false }), x);
const norm = (x: Tensor) => apply(tf.layers.batchNormalization({ epsilon: 1e-3 }), x);
const relu = (x: Tensor) => apply(tf.layers.reLU({}), x);
const relu6 = (x: Tensor) => apply(tf.layers.reLU({ maxValue: 6 }), x);
const add = (...inputs: Tensor[]) => apply(tf.layers.add(), ...inputs);
const concat = (...inputs: Tensor[]) => apply(tf.layers.concatenate(), ...inputs);
const multiply = (...inputs: Tensor[]) => apply(tf.layers.multiply(), ...inputs);
const pad = (x: Tensor, padding: [[number, number], [number, number]]) =>
  apply(tf.layers.zeroPadding2d({ padding }), x);
const depthwise = (x: Tensor, strides = 1, padding: 'same' | 'valid' = 'same', kernelSize = 3) =>
  apply(tf.layers.depthwiseConv2d({ kernelSize, strides, padding, useBias: false }), x);
const separable = (x: Tensor, filters: number, strides = 1, kernelSize = 3) =>
  apply(tf.layers.separableConv2d({ filters, kernelSize, strides, padding: 'same', useBias: false }), x);
const maxPool = (x: Tensor, poolSize: number, strides: number, padding: 'same' | 'valid' = 'valid') =>
  apply(tf.layers.maxPooling2d({ poolSize, strides, padding }), x);
const averagePool = (x: Tensor, poolSize: number, strides: number) =>
  apply(tf.layers.averagePooling2d({ poolSize, strides, padding: 'same' }), x);
const average = (x: Tensor) => apply(tf.layers.globalAveragePooling2d({}), x);
const classify = (x: Tensor) => apply(tf.layers.dense({ units: 6, activation: 'softmax' }), x);
const swish = (x: Tensor) => multiply(x, apply(tf.layers.activation({ activation: 'sigmoid' }), x));
/** As keras-applications writes it: ReLU6(x + 3) / 6. */
const hardSigmoid = (x: Tensor) =>
  apply(tf.layers.rescaling({ scale: 1 / 6 }), relu6(apply(tf.layers.rescaling({ scale: 1, offset: 3 }), x)));
const hardSwish = (x: Tensor) => multiply(x, hardSigmoid(x));

function squeeze(x: Tensor, channels: number, gate: (x: Tensor) => Tensor): Tensor {
  const pixel = apply(tf.layers.reshape({ targetShape: [1, 1, channels] }), average(x));
  const inner = apply(tf.layers.conv2d({ filters: 2, kernelSize: 1, activation: 'relu' }), pixel);
  return multiply(x, gate(apply(tf.layers.conv2d({ filters: channels, kernelSize: 1 }), inner)));
}
const sigmoid = (x: Tensor) => apply(tf.layers.activation({ activation: 'sigmoid' }), x);

const ARCHITECTURES: Record<string, (image: Tensor) => Tensor> = {
  ResNet: (image) => {
    const stem = relu(
      norm(
        conv(
          pad(image, [
            [3, 3],
            [3, 3],
          ]),
          8,
          7,
          2,
          'valid',
        ),
      ),
    );
    const pooled = maxPool(
      pad(stem, [
        [1, 1],
        [1, 1],
      ]),
      3,
      2,
    );
    const block = norm(conv(relu(norm(conv(relu(norm(conv(pooled, 4, 1))), 4, 3))), 16, 1));
    return classify(average(relu(add(block, norm(conv(pooled, 16, 1))))));
  },
  'ResNet v2': (image) => {
    const stem = maxPool(conv(image, 8, 7, 2), 3, 2, 'same');
    const before = relu(norm(stem));
    const block = conv(relu(norm(conv(before, 8, 3))), 8, 3);
    return classify(average(relu(norm(add(block, stem)))));
  },
  VGG: (image) => {
    const block = (x: Tensor, filters: number) =>
      maxPool(apply(tf.layers.conv2d({ filters, kernelSize: 3, padding: 'same', activation: 'relu' }), x), 2, 2);
    const flat = apply(tf.layers.flatten(), block(block(image, 6), 8));
    return classify(
      apply(tf.layers.dropout({ rate: 0.5 }), apply(tf.layers.dense({ units: 12, activation: 'relu' }), flat)),
    );
  },
  'MobileNet v1': (image) => {
    const stem = relu6(
      norm(
        conv(
          pad(image, [
            [0, 1],
            [0, 1],
          ]),
          8,
          3,
          2,
          'valid',
        ),
      ),
    );
    const block = relu6(
      norm(
        conv(
          relu6(
            norm(
              depthwise(
                pad(stem, [
                  [0, 1],
                  [0, 1],
                ]),
                2,
                'valid',
              ),
            ),
          ),
          12,
          1,
        ),
      ),
    );
    const pixel = apply(tf.layers.reshape({ targetShape: [1, 1, 12] }), average(block));
    const logits = apply(tf.layers.conv2d({ filters: 6, kernelSize: 1, padding: 'same' }), pixel);
    return apply(
      tf.layers.activation({ activation: 'softmax' }),
      apply(tf.layers.reshape({ targetShape: [6] }), logits),
    );
  },
  'MobileNet v2': (image) => {
    const stem = relu6(norm(conv(image, 8, 3, 2)));
    const wide = relu6(norm(depthwise(relu6(norm(conv(stem, 24, 1))))));
    return classify(average(relu6(norm(conv(add(norm(conv(wide, 8, 1)), stem), 20, 1)))));
  },
  'MobileNet v3': (image) => {
    const stem = hardSwish(norm(conv(apply(tf.layers.rescaling({ scale: 0.5, offset: 0.1 }), image), 8, 3, 2)));
    const wide = hardSwish(norm(depthwise(hardSwish(norm(conv(stem, 16, 1))), 1, 'same', 5)));
    const block = add(norm(conv(squeeze(wide, 16, hardSigmoid), 8, 1)), stem);
    return classify(average(hardSwish(norm(conv(block, 20, 1)))));
  },
  EfficientNet: (image) => {
    const stem = swish(
      norm(
        conv(
          pad(image, [
            [0, 1],
            [0, 1],
          ]),
          8,
          3,
          2,
          'valid',
        ),
      ),
    );
    const wide = swish(norm(depthwise(swish(norm(conv(stem, 16, 1))), 1, 'same', 5)));
    const block = norm(conv(squeeze(wide, 16, sigmoid), 8, 1));
    return classify(apply(tf.layers.dropout({ rate: 0.2 }), average(swish(norm(conv(add(block, stem), 20, 1))))));
  },
  'Inception v3': (image) => {
    const unit = (x: Tensor, filters: number, size: [number, number], strides = 1) =>
      relu(
        apply(
          tf.layers.batchNormalization({ scale: false }),
          apply(tf.layers.conv2d({ filters, kernelSize: size, strides, padding: 'same', useBias: false }), x),
        ),
      );
    const stem = unit(image, 8, [3, 3], 2);
    const tower = unit(unit(unit(stem, 4, [1, 1]), 4, [1, 7]), 6, [7, 1]);
    return classify(average(concat(unit(stem, 5, [1, 1]), tower, unit(averagePool(stem, 3, 1), 3, [1, 1]))));
  },
  Xception: (image) => {
    const stem = relu(norm(conv(image, 8, 3, 2, 'valid')));
    const block = maxPool(norm(separable(relu(norm(separable(stem, 12))), 12)), 3, 2, 'same');
    return classify(average(relu(norm(separable(add(block, norm(conv(stem, 12, 1, 2))), 16)))));
  },
  DenseNet: (image) => {
    const grow = (x: Tensor) => concat(x, conv(relu(norm(conv(relu(norm(x)), 8, 1))), 4, 3));
    const stem = conv(
      pad(image, [
        [3, 3],
        [3, 3],
      ]),
      8,
      7,
      2,
      'valid',
    );
    const dense = grow(grow(stem));
    const transition = apply(tf.layers.averagePooling2d({ poolSize: 2, strides: 2 }), conv(relu(norm(dense)), 8, 1));
    return classify(average(relu(norm(grow(transition)))));
  },
  NASNet: (image) => {
    const stem = norm(conv(image, 8, 3, 2, 'valid'));
    const factorized = (x: Tensor) => {
      const shifted = apply(
        tf.layers.cropping2D({
          cropping: [
            [1, 0],
            [1, 0],
          ],
        }),
        pad(x, [
          [0, 1],
          [0, 1],
        ]),
      );
      const half = (y: Tensor) => conv(apply(tf.layers.averagePooling2d({ poolSize: 1, strides: 2 }), y), 4, 1);
      return norm(concat(half(relu(x)), half(shifted)));
    };
    const unit = (x: Tensor, kernelSize: number, strides: number) =>
      norm(separable(relu(norm(separable(relu(x), 8, strides, kernelSize))), 8, 1, kernelSize));
    const first = add(unit(stem, 5, 2), factorized(stem));
    const second = add(maxPool(stem, 3, 2, 'same'), unit(stem, 3, 2));
    const third = add(averagePool(stem, 3, 2), first);
    return classify(average(relu(concat(first, second, third))));
  },
};

describe('blocks of the known families agree with tfjs', () => {
  test.each(Object.entries(ARCHITECTURES))('%s', async (_, write) => {
    const image = tf.input({ shape: [33, 29, 3] });
    const { difference, nodes } = await compareLayersModel(tf.model({ inputs: image, outputs: write(image) }), INPUT);
    expect(difference).toBeLessThan(LIMIT);
    expect(nodes.filter((op) => op === 'Transpose').length).toBeLessThanOrEqual(2);
  });
});
