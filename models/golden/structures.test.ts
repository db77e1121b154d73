import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  compareLayersModel,
  inputOf,
  largestDifference,
  OUTPUT,
  randomizeWeights,
  randomPixels,
  runConverted,
  saveLayersModel,
  type TestModel,
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

  test('batch normalisation, padding and channel order are folded into the convolutions', async () => {
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

  test.each(['caffe', 'tf', 'torch', 'unit', 'none'] as const)('%s normalisation of colour and grey', async (kind) => {
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
  });

  test('logits get a softmax, and labels of their own a sigmoid', async () => {
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
    const json = saved.modelJson as Saved;
    const { layers } = json.modelTopology.config;
    const modelTopology = { keras_version: '2.1.6', model_config: { class_name: 'Sequential', config: layers } };
    for (const weight of json.weightsManifest[0]!.weights) weight.name += ':0';
    const result = await runConverted({ ...saved, modelJson: { ...json, modelTopology } }, pixels, INPUT);
    expect(largestDifference(result.probabilities, expected)).toBeLessThan(LIMIT);
  });

  test('Keras 3: tensors as objects, batch_shape, numbered weights', async () => {
    const { saved, pixels, expected } = await reference();
    const json = saved.modelJson as Saved;
    const names = json.modelTopology.config.layers.map((layer) => layer.config.name as string);
    const tensor = (name: string) => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } });
    const layers = json.modelTopology.config.layers.map((layer, i) => ({
      module: 'keras.layers',
      class_name: layer.class_name,
      name: names[i],
      config: { ...layer.config, dtype: { class_name: 'DTypePolicy', config: { name: 'float32' } } },
      inbound_nodes: [{ args: [tensor(i === 0 ? 'image' : (names[i - 1] ?? ''))], kwargs: {} }],
    }));
    const image = {
      class_name: 'InputLayer',
      name: 'image',
      config: { batch_shape: [null, 12, 10, 3], name: 'image' },
      inbound_nodes: [],
    };
    const config = {
      name: 'functional',
      layers: [image, ...layers],
      input_layers: [['image', 0, 0]],
      output_layers: [names[2], 0, 0],
    };
    const modelTopology = { keras_version: '3.4.1', model_config: { class_name: 'Functional', config } };
    for (const weight of json.weightsManifest[0]!.weights) {
      weight.name = weight.name.replace('/kernel', '/0').replace('/bias', '/1');
    }
    const result = await runConverted({ ...saved, modelJson: { ...json, modelTopology } }, pixels, INPUT);
    expect(largestDifference(result.probabilities, expected)).toBeLessThan(LIMIT);
  });

  test.each(['uint8', 'uint16', 'float16'] as const)(
    'weights quantised to %s are decoded as tfjs does',
    async (dtype) => {
      const { saved, pixels } = await reference();
      const quantized = quantize(saved, dtype);
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

/** Quantises every weight as the converter's --quantize options do. */
function quantize(saved: TestModel, dtype: 'uint8' | 'uint16' | 'float16'): TestModel {
  const json = structuredClone(saved.modelJson) as Saved;
  const values = new Float32Array(saved.weightData);
  const shards: Uint8Array[] = [];
  let offset = 0;
  for (const weight of json.weightsManifest[0]!.weights) {
    const part = values.subarray(offset, offset + tf.util.sizeFromShape(weight.shape));
    offset += part.length;
    if (dtype === 'float16') {
      shards.push(new Uint8Array(Uint16Array.from(part, toHalf).buffer));
      weight.quantization = { dtype, original_dtype: 'float32' };
      continue;
    }
    const levels = dtype === 'uint8' ? 255 : 65535;
    const min = Math.min(...part);
    const scale = (Math.max(...part) - min) / levels || 1;
    const codes = Array.from(part, (value) => Math.round((value - min) / scale));
    shards.push(new Uint8Array((dtype === 'uint8' ? Uint8Array.from(codes) : Uint16Array.from(codes)).buffer));
    weight.quantization = { dtype, min, scale, original_dtype: 'float32' };
  }
  const bytes = Buffer.concat(shards);
  return { modelJson: json, weightData: new Uint8Array(bytes).buffer };
}

/** Truncates to half precision; enough for a test. */
function toHalf(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  const exponent = ((bits >> 23) & 0xff) - 112;
  const sign = (bits >> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >> 13) & 0x3ff);
}
