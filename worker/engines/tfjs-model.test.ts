/** The engines tensorflow and wasm on small models of every format, against tfjs in plain JavaScript in this process. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Compiled, compileSources } from '../../e2e/support/compiled.ts';
import {
  createRandom,
  largestDifference,
  randomizeWeights,
  randomPixels,
  saveLayersModel,
  type TestModel,
  toTensor,
} from '../../models/golden/harness.fixture.ts';
import { normalizationOf } from '../../models/normalization.ts';
import type { InputSpec } from '../../models/spec.ts';
import type { EngineModel, EngineName } from '../engine.ts';
import { startRemoteEngine } from './remote.ts';

const COUNT = 3;
const CLASSES = 5;
type Activation = NonNullable<EngineModel['tfjs']>['activation'];

let compiled: Compiled;
let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, '../../scripts/build-tfjs-node.mjs')]);
  compiled = await compileSources(['worker/engines/child.ts']);
  folder = await mkdtemp(join(tmpdir(), 'inferql-tfjs-'));
});
afterAll(() => Promise.all([compiled?.remove(), rm(folder, { recursive: true, force: true })]));

function inputOf(normalization: InputSpec['normalization'], channels: 1 | 3 = 3): InputSpec {
  return { width: 9, height: 7, channels, kernel: 'linear', normalization };
}

function classifier(last: 'softmax' | 'linear', channels: 1 | 3 = 3): tf.LayersModel {
  const image = tf.input({ shape: [7, 9, channels] });
  const first = tf.layers.conv2d({ filters: 6, kernelSize: 3, strides: 2, padding: 'same' }).apply(image);
  const normal = tf.layers.batchNormalization().apply(first);
  const active = tf.layers.reLU({ maxValue: 6 }).apply(normal);
  const deep = tf.layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }).apply(active);
  const sum = tf.layers.add().apply([active, deep] as tf.SymbolicTensor[]);
  const pooled = tf.layers.globalAveragePooling2d({}).apply(sum);
  const answer = tf.layers.dense({ units: CLASSES, activation: last }).apply(pooled) as tf.SymbolicTensor;
  const model = tf.model({ inputs: image, outputs: answer });
  randomizeWeights(model);
  return model;
}

/** Stores the weights as the converter's quantisation does. */
function quantize(saved: TestModel, dtype: 'uint8' | 'uint16'): TestModel {
  const json = structuredClone(saved.modelJson) as { weightsManifest: tf.io.WeightsManifestConfig };
  const levels = dtype === 'uint8' ? 255 : 65_535;
  const chunks: Buffer[] = [];
  let at = 0;
  for (const weight of json.weightsManifest[0]!.weights) {
    const length = weight.shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(saved.weightData, at, length);
    at += length * 4;
    const min = Math.min(...values);
    const scale = (Math.max(...values) - min) / levels || 1;
    const levelsOf = Array.from(values, (value) => Math.round((value - min) / scale));
    const codes = dtype === 'uint8' ? Uint8Array.from(levelsOf) : Uint16Array.from(levelsOf);
    chunks.push(Buffer.from(codes.buffer));
    Object.assign(weight, { quantization: { dtype, scale, min, original_dtype: 'float32' } });
  }
  return { modelJson: json, weightData: new Uint8Array(Buffer.concat(chunks)).buffer };
}

/** A frozen graph: convolution, mean, and a last step of the caller's choice on [batch, 4]. */
function graph(batch: number, last: { op: string; attr: object }): TestModel {
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
    { name: 'answer', op: 'Softmax', input: ['logits'], attr: { T: float } },
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

const MATMUL = { op: 'MatMul', attr: { transpose_a: { b: false }, transpose_b: { b: false } } };
const EINSUM = {
  op: 'Einsum',
  attr: { N: { i: '2' }, equation: { s: Buffer.from('nc,cd->nd').toString('base64') } },
};

interface Case {
  name: string;
  saved: () => TestModel | Promise<TestModel>;
  input: InputSpec;
  activation: Activation;
}

const CASES: Case[] = [
  {
    name: 'a layers model',
    saved: () => saveLayersModel(classifier('softmax')),
    input: inputOf('tf'),
    activation: 'softmax',
  },
  {
    name: 'logits, which get a softmax, and pixels as caffe has them',
    saved: () => saveLayersModel(classifier('linear')),
    input: inputOf('caffe'),
    activation: 'logits',
  },
  {
    name: 'several labels at once, and pixels as torch has them',
    saved: () => saveLayersModel(classifier('linear')),
    input: inputOf('torch'),
    activation: 'logits-sigmoid',
  },
  {
    name: 'one channel',
    saved: () => saveLayersModel(classifier('softmax', 1)),
    input: inputOf('unit', 1),
    activation: 'softmax',
  },
  {
    name: 'weights quantised to uint8',
    saved: async () => quantize(await saveLayersModel(classifier('softmax')), 'uint8'),
    input: inputOf('tf'),
    activation: 'softmax',
  },
  {
    name: 'weights quantised to uint16',
    saved: async () => quantize(await saveLayersModel(classifier('softmax')), 'uint16'),
    input: inputOf('tf'),
    activation: 'softmax',
  },
  { name: 'a graph model', saved: () => graph(-1, MATMUL), input: inputOf('none'), activation: 'softmax' },
  {
    name: 'a graph model made for two images at once',
    saved: () => graph(2, MATMUL),
    input: inputOf('unit'),
    activation: 'softmax',
  },
  {
    name: 'a graph with an op that the wasm backend does not have',
    saved: () => graph(-1, EINSUM),
    input: inputOf('unit'),
    activation: 'softmax',
  },
];

/** What plain tfjs answers, image by image or two by two. */
async function expectedOf({ modelJson, weightData }: TestModel, test: Case, pixels: Uint8Array): Promise<number[]> {
  const json = modelJson as { format: string; modelTopology: object; weightsManifest: tf.io.WeightsManifestConfig };
  const handler = {
    load: async () => ({
      format: json.format,
      modelTopology: structuredClone(json.modelTopology),
      weightSpecs: json.weightsManifest[0]!.weights,
      weightData,
    }),
  };
  const model = json.format === 'layers-model' ? await tf.loadLayersModel(handler) : await tf.loadGraphModel(handler);
  const batch = Math.max(model.inputs[0]!.shape![0] ?? 1, 1);
  const imageBytes = pixels.length / COUNT;
  const answers: number[] = [];
  for (let at = 0; at < COUNT; at += batch) {
    const part = new Uint8Array(batch * imageBytes);
    part.set(pixels.subarray(at * imageBytes, (at + batch) * imageBytes));
    const raw = (model.predict(toTensor(part, test.input)) as tf.Tensor).reshape([batch, CLASSES]);
    const final =
      test.activation === 'logits' ? raw.softmax() : test.activation === 'logits-sigmoid' ? raw.sigmoid() : raw;
    answers.push(...((await final.data()) as Float32Array));
  }
  return answers.slice(0, COUNT * CLASSES);
}

describe.each<EngineName>(['tensorflow', 'wasm'])('%s', (engine) => {
  test.each(CASES)('$name', async (test) => {
    const saved = await test.saved();
    const dir = join(folder, `${engine}-${CASES.indexOf(test)}`);
    await mkdir(dir);
    await writeFile(join(dir, 'model.json'), JSON.stringify(saved.modelJson));
    await writeFile(join(dir, 'weights.bin'), new Uint8Array(saved.weightData));
    const format = (saved.modelJson as { format: string }).format === 'layers-model' ? 'tfjs-layers' : 'tfjs-graph';
    const running = await startRemoteEngine({
      model: {
        engine,
        input: test.input,
        classCount: CLASSES,
        threads: 1,
        tfjs: {
          path: join(dir, 'model.json'),
          format,
          normalization: normalizationOf(test.input),
          activation: test.activation,
        },
      },
      timeLimitMs: 30_000,
      log: pino({ level: 'silent' }),
      childPath: join(compiled.dir, 'worker/engines/child.js'),
    });
    try {
      const pixels = randomPixels(test.input, COUNT);
      const size = pixels.length / COUNT;
      const images = Array.from({ length: COUNT }, (_, at) => pixels.subarray(at * size, (at + 1) * size));
      const { probabilities } = await running.run(images, false);
      expect(largestDifference(probabilities, await expectedOf(saved, test, pixels))).toBeLessThan(1e-5);
    } finally {
      await running.close();
    }
  });

  test('a model with another number of classes than its labels is refused at its first run', async () => {
    const dir = join(folder, `${engine}-classes`);
    await mkdir(dir);
    const saved = await saveLayersModel(classifier('softmax'));
    await writeFile(join(dir, 'model.json'), JSON.stringify(saved.modelJson));
    await writeFile(join(dir, 'weights.bin'), new Uint8Array(saved.weightData));
    const input = inputOf('tf');
    const tfjs = { path: join(dir, 'model.json'), format: 'tfjs-layers' as const, activation: 'softmax' as const };
    const starting = startRemoteEngine({
      model: {
        engine,
        input,
        classCount: CLASSES + 1,
        threads: 1,
        tfjs: { ...tfjs, normalization: normalizationOf(input) },
      },
      timeLimitMs: 30_000,
      log: pino({ level: 'silent' }),
      childPath: join(compiled.dir, 'worker/engines/child.js'),
    });
    const refusal = starting.then(async (running) => {
      try {
        await running.run([randomPixels(input, 1)], false);
      } finally {
        await running.close();
      }
    });
    await expect(refusal).rejects.toThrow();
  });
});
