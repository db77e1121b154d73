import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { compareLayersModel, inputOf } from './harness.ts';

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
