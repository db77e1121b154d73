import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { quantizeWeights, toKeras3, toKeras3Sequential, toKeras21 } from './formats.fixture.ts';
import {
  compareLayersModel,
  inputOf,
  largestDifference,
  OUTPUT,
  randomizeWeights,
  randomPixels,
  runConverted,
  saveLayersModel,
  toTensor,
} from './harness.fixture.ts';

const LIMIT = 1e-5;
const INPUT = inputOf(12, 10, 3);

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Two blocks of convolution, a head, all named as Keras would. */
function features(name: string): tf.Sequential {
  return tf.sequential({
    name,
    layers: [
      tf.layers.conv2d({ name: `${name}_conv`, inputShape: [12, 10, 3], filters: 6, kernelSize: 3, strides: 2 }),
      tf.layers.batchNormalization({ name: `${name}_bn` }),
      tf.layers.reLU({ name: `${name}_relu` }),
    ],
  });
}

function classifier(activation: 'softmax' | 'linear' = 'softmax'): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [12, 10, 3], filters: 6, kernelSize: 3, activation: 'relu' }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 5, activation }),
    ],
  });
}

interface Saved {
  modelTopology: { class_name: string; config: { layers: { class_name: string; config: Record<string, unknown> }[] } };
  weightsManifest: { weights: { name: string; shape: number[]; dtype: string; quantization?: object }[] }[];
}

describe('structures of layers models', () => {
  test('a sequential model in a sequential model in a functional one', async () => {
    const inner = tf.sequential({ layers: [features('trunk'), tf.layers.globalAveragePooling2d({})] });
    const head = tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [6], units: 8, activation: 'relu' }),
        tf.layers.dense({ units: 3, useBias: false, activation: 'softmax' }),
      ],
    });
    const image = tf.input({ shape: [12, 10, 3] });
    const model = tf.model({ inputs: image, outputs: head.apply(inner.apply(image)) as tf.SymbolicTensor });
    expect((await compareLayersModel(model, INPUT)).difference).toBeLessThan(LIMIT);
  });

  test("Teachable Machine's: a sequential model of a sequential trunk and a sequential head", async () => {
    const model = tf.sequential({
      layers: [
        tf.sequential({ layers: [features('mobilenet'), tf.layers.globalAveragePooling2d({})] }),
        tf.sequential({
          layers: [
            tf.layers.dense({ inputShape: [6], units: 10, activation: 'relu', name: 'dense_Dense1' }),
            tf.layers.dense({ units: 4, useBias: false, activation: 'softmax', name: 'dense_Dense2' }),
          ],
        }),
      ],
    });
    expect((await compareLayersModel(model, INPUT)).difference).toBeLessThan(LIMIT);
  });

  test('one layer called twice, and a model called twice', async () => {
    const image = tf.input({ shape: [12, 10, 3] });
    const shared = tf.layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same', activation: 'tanh' });
    const trunk = features('shared');
    const once = shared.apply(image) as tf.SymbolicTensor;
    const twice = shared.apply(once) as tf.SymbolicTensor;
    const both = tf.layers.add().apply([trunk.apply(once), trunk.apply(twice)] as tf.SymbolicTensor[]);
    expect(
      (await compareLayersModel(tf.model({ inputs: image, outputs: both as tf.SymbolicTensor }), INPUT)).difference,
    ).toBeLessThan(LIMIT);
  });

  test('batch normalization, padding and channel order are folded into the convolutions', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.zeroPadding2d({ inputShape: [12, 10, 3], padding: 3 }),
        tf.layers.conv2d({ filters: 6, kernelSize: 7, strides: 2 }),
        tf.layers.batchNormalization({}),
        tf.layers.reLU({}),
        tf.layers.zeroPadding2d({ padding: 1 }),
        tf.layers.maxPooling2d({ poolSize: 3, strides: 2 }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.dense({ units: 4, activation: 'softmax' }),
      ],
    });
    const { difference, nodes } = await compareLayersModel(model, { ...INPUT, normalization: 'caffe' });
    expect(difference).toBeLessThan(LIMIT);
    expect(nodes).not.toContain('BatchNormalization');
    expect(nodes).not.toContain('Pad');
    expect(nodes).not.toContain('Gather');
  });

  test.each(['caffe', 'tf', 'torch', 'unit', 'none'] as const)(
    '%s normalization of color and grayscale',
    async (kind) => {
      for (const channels of [1, 3] as const) {
        const input = { ...inputOf(9, 7, channels), normalization: kind };
        const model = tf.sequential({
          layers: [
            tf.layers.conv2d({ inputShape: [9, 7, channels], filters: 4, kernelSize: 3, padding: 'same' }),
            tf.layers.flatten(),
            tf.layers.dense({ units: 4 }),
          ],
        });
        expect((await compareLayersModel(model, input)).difference).toBeLessThan(LIMIT);
      }
    },
  );

  test('logits get a softmax, and independent labels a sigmoid', async () => {
    const model = classifier('linear');
    randomizeWeights(model);
    const pixels = randomPixels(INPUT, 2);
    const logits = tf.tidy(() => model.predict(toTensor(pixels, INPUT)) as tf.Tensor2D);
    const saved = await saveLayersModel(model);
    const softmax = await runConverted(saved, pixels, INPUT, { activation: 'logits' });
    expect(largestDifference(softmax.probabilities, tf.softmax(logits).dataSync())).toBeLessThan(LIMIT);
    const sigmoid = await runConverted(saved, pixels, INPUT, { activation: 'logits-sigmoid' });
    expect(largestDifference(sigmoid.probabilities, tf.sigmoid(logits).dataSync())).toBeLessThan(LIMIT);
  });

  test('an image of another size than the spec says is refused', async () => {
    const saved = await saveLayersModel(classifier());
    const input = inputOf(16, 16, 3);
    await expect(runConverted(saved, randomPixels(input, 1), input)).rejects.toThrow(
      /width 10, height 12 and 3 channels, the spec says 16, 16 and 3/,
    );
  });

  test('a layer that is not covered is named', async () => {
    const saved = await saveLayersModel(classifier());
    (saved.modelJson as Saved).modelTopology.config.layers[1]!.class_name = 'CapsuleRouting';
    await expect(runConverted(saved, randomPixels(INPUT, 1), INPUT)).rejects.toMatchObject({
      code: 'UNSUPPORTED_OP',
      op: 'CapsuleRouting',
    });
  });
});

describe('hostile topologies are refused', () => {
  const dense = { class_name: 'Dense', config: { name: 'dense', units: 2 } };
  const functional = (layers: object[]) => ({
    class_name: 'Functional',
    config: { name: 'm', layers, input_layers: [['in', 0, 0]], output_layers: [['a', 0, 0]] },
  });
  const input = {
    name: 'in',
    class_name: 'InputLayer',
    config: { batch_input_shape: [null, 12, 10, 3] },
    inbound_nodes: [],
  };
  const relu = (name: string, from: string, className = 'ReLU') => ({
    name,
    class_name: className,
    config: {},
    inbound_nodes: [[[from, 0, 0, {}]]],
  });
  let nested: object = { class_name: 'Sequential', config: { name: 'inner', layers: [dense] } };
  for (let i = 0; i < 40; i++) nested = { class_name: 'Sequential', config: { name: `outer${i}`, layers: [nested] } };
  const cases: [string, object, RegExp][] = [
    ['layers in a circle', functional([input, relu('a', 'b'), relu('b', 'a')]), /has no input/],
    ['an input from nowhere', functional([input, relu('a', 'nobody')]), /has no input/],
    ['models in models without end', nested, /nested too deeply/],
    ['no layers', { class_name: 'Sequential', config: { name: 'm', layers: [] } }, /without layers/],
    ['a layer called constructor', functional([input, relu('a', 'in', 'constructor')]), /does not cover constructor/],
    [
      'an activation called __proto__',
      functional([input, { ...relu('a', 'in', 'Activation'), config: { activation: '__proto__' } }]),
      /does not cover activation __proto__/,
    ],
    [
      'a dense layer without weights',
      { class_name: 'Sequential', config: { name: 'm', layers: [dense] } },
      /dense\/bias is missing|dense\/kernel is missing/,
    ],
    ['no model at all', { class_name: 'Lambda', config: [] }, /expected a Model/],
    ['a number for a topology', { model_config: 5 }, /not a layers model/],
  ];
  test.each(cases)('%s', async (_, modelTopology, message) => {
    const saved = { modelJson: { modelTopology, weightsManifest: [] }, weightData: new ArrayBuffer(0) };
    await expect(runConverted(saved, randomPixels(INPUT, 1), INPUT)).rejects.toThrow(message);
  });
});

describe('files of other converters', () => {
  async function reference() {
    const model = classifier();
    randomizeWeights(model);
    const pixels = randomPixels(INPUT, 2);
    const expected = tf.tidy(() => (model.predict(toTensor(pixels, INPUT)) as tf.Tensor).dataSync());
    return { saved: await saveLayersModel(model), pixels, expected };
  }

  test('model_config inside modelTopology, as a list of layers (Keras 2.1), weights with ":0"', async () => {
    const { saved, pixels, expected } = await reference();
    const result = await runConverted(toKeras21(saved), pixels, INPUT);
    expect(largestDifference(result.probabilities, expected)).toBeLessThan(LIMIT);
  });

  test.each([
    ['functional', toKeras3],
    ['sequential', toKeras3Sequential],
  ])('Keras 3, %s: tensors as objects, batch_shape, numbered weights', async (_, toFile) => {
    const { saved, pixels, expected } = await reference();
    const result = await runConverted(toFile(saved, [12, 10, 3]), pixels, INPUT);
    expect(largestDifference(result.probabilities, expected)).toBeLessThan(LIMIT);
  });

  test.each(['uint8', 'uint16', 'float16'] as const)(
    'weights quantized to %s are decoded like in tfjs',
    async (dtype) => {
      const { saved, pixels } = await reference();
      const quantized = quantizeWeights(saved, dtype);
      const model = await tf.loadLayersModel(
        tf.io.fromMemory({
          modelTopology: (quantized.modelJson as Saved).modelTopology as object,
          weightSpecs: (quantized.modelJson as Saved).weightsManifest[0]!.weights as tf.io.WeightsManifestEntry[],
          weightData: quantized.weightData,
        }),
      );
      const expected = tf.tidy(() => (model.predict(toTensor(pixels, INPUT)) as tf.Tensor).dataSync());
      const result = await runConverted(quantized, pixels, INPUT, OUTPUT);
      expect(largestDifference(result.probabilities, expected)).toBeLessThan(LIMIT);
    },
  );
});
