/** Small classifiers of 9 x 7 images and five classes, in the shapes that people's models have. */
import * as tf from '@tensorflow/tfjs';
import { createRandom, randomizeWeights, saveLayersModel, type TestModel } from './harness.fixture.ts';

export const CLASSES = 5;
/** Height, width, channels. */
export const SHAPE = [7, 9, 3] as const;

export async function saveRandom(model: tf.LayersModel): Promise<TestModel> {
  randomizeWeights(model);
  return saveLayersModel(model);
}

export function buildClassifier(last: 'softmax' | 'linear' | 'sigmoid', channels: 1 | 3 = 3): tf.LayersModel {
  const image = tf.input({ shape: [7, 9, channels] });
  const first = tf.layers.conv2d({ filters: 6, kernelSize: 3, strides: 2, padding: 'same' }).apply(image);
  const normal = tf.layers.batchNormalization().apply(first);
  const active = tf.layers.reLU({ maxValue: 6 }).apply(normal);
  const deep = tf.layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }).apply(active);
  const sum = tf.layers.add().apply([active, deep] as tf.SymbolicTensor[]);
  const pooled = tf.layers.globalAveragePooling2d({}).apply(sum);
  const answer = tf.layers.dense({ units: CLASSES, activation: last }).apply(pooled) as tf.SymbolicTensor;
  return tf.model({ inputs: image, outputs: answer });
}

/** A layer of each kind whose weights Keras 3 numbers. */
export function buildChain(): tf.Sequential {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [...SHAPE], filters: 6, kernelSize: 3, padding: 'same', useBias: false }),
      tf.layers.batchNormalization({}),
      tf.layers.separableConv2d({ filters: 8, kernelSize: 3, strides: 2 }),
      tf.layers.batchNormalization({ scale: false }),
      tf.layers.depthwiseConv2d({ kernelSize: 2, padding: 'same' }),
      tf.layers.prelu({}),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: CLASSES, activation: 'softmax' }),
    ],
  });
}

/** As Teachable Machine makes them: a sequential model of a sequential trunk and a sequential head. */
export function buildNested(): tf.Sequential {
  const trunk = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [...SHAPE], filters: 6, kernelSize: 3, strides: 2, padding: 'same' }),
      tf.layers.batchNormalization({}),
      tf.layers.reLU({}),
    ],
  });
  const head = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [6], units: 10, activation: 'relu' }),
      tf.layers.dense({ units: CLASSES, useBias: false, activation: 'softmax' }),
    ],
  });
  return tf.sequential({ layers: [tf.sequential({ layers: [trunk, tf.layers.globalAveragePooling2d({})] }), head] });
}

/** A sequential trunk inside a functional model. */
export function buildFunctionalOfSequential(): tf.LayersModel {
  const image = tf.input({ shape: [...SHAPE] });
  const trunk = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [...SHAPE], filters: 6, kernelSize: 3, activation: 'relu' }),
      tf.layers.batchNormalization({}),
    ],
  });
  const pooled = tf.layers.globalAveragePooling2d({}).apply(trunk.apply(image));
  const answer = tf.layers.dense({ units: CLASSES, activation: 'softmax' }).apply(pooled) as tf.SymbolicTensor;
  return tf.model({ inputs: image, outputs: answer });
}

/** A frozen graph: convolution, mean, and a last step of the caller's choice on [batch, 4]. */
export function buildGraphModel(batch: number, last: { op: string; attr: object; after?: string }): TestModel {
  const random = createRandom(5);
  const float = { type: 'DT_FLOAT' };
  const weights = { kernel: [3, 3, 3, 4], dense: [4, CLASSES] };
  const sizes = Object.values(weights).map((shape) => shape.reduce((a, b) => a * b, 1));
  const values = Float32Array.from({ length: sizes[0]! + sizes[1]! }, () => random() - 0.5);
  const constant = (name: string) => ({ name, op: 'Const', input: [], attr: { dtype: float } });
  const ones = { list: { i: ['1', '1', '1', '1'] } };
  const node = [
    {
      name: 'image',
      op: 'Placeholder',
      input: [],
      attr: { dtype: float, shape: { shape: { dim: [batch, 7, 9, 3].map((size) => ({ size: String(size) })) } } },
    },
    ...Object.keys(weights).map(constant),
    { name: 'axes', op: 'Const', input: [], attr: { dtype: { type: 'DT_INT32' } } },
    {
      name: 'conv',
      op: 'Conv2D',
      input: ['image', 'kernel'],
      attr: { T: float, strides: ones, dilations: ones, padding: { s: 'U0FNRQ==' }, data_format: { s: 'TkhXQw==' } },
    },
    { name: 'mean', op: 'Mean', input: ['conv', 'axes'], attr: { T: float, keep_dims: { b: false } } },
    { name: 'logits', op: last.op, input: ['mean', 'dense'], attr: { T: float, ...last.attr } },
    ...(last.after ? [{ name: 'after', op: last.after, input: ['logits'], attr: { T: float } }] : []),
    { name: 'answer', op: 'Softmax', input: [last.after ? 'after' : 'logits'], attr: { T: float } },
  ];
  const manifest = [
    ...Object.entries(weights).map(([name, shape]) => ({ name, shape, dtype: 'float32' })),
    { name: 'axes', shape: [2], dtype: 'int32' },
  ];
  return {
    modelJson: {
      format: 'graph-model',
      modelTopology: { node, versions: { producer: 1087 } },
      weightsManifest: [{ paths: ['weights.bin'], weights: manifest }],
    },
    weightData: new Uint8Array(Buffer.concat([Buffer.from(values.buffer), Buffer.from(Int32Array.of(1, 2).buffer)]))
      .buffer,
  };
}

export const MATMUL = { op: 'MatMul', attr: { transpose_a: { b: false }, transpose_b: { b: false } } };
/** tfjs has the second op, the converter does not. */
export const UNCONVERTED = { ...MATMUL, after: 'Asinh' };
