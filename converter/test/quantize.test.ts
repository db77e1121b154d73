import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import ort from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { readSample } from '../files/sample-images.ts';
import {
  inputOf,
  largestDifference,
  OUTPUT,
  randomizeWeights,
  randomPixels,
  saveLayersModel,
} from '../golden/harness.fixture.ts';
import { localRunner } from '../model-process/local-runner.ts';
import { type Answers, buildGraph, convertModel } from '../onnx-writer/convert-model.ts';
import { floatTensor } from '../onnx-writer/graph/graph.ts';
import { calibrate } from '../onnx-writer/quantize/calibrate.ts';
import { parseCalibration } from '../onnx-writer/quantize/calibration-file.ts';
import { quantizeGraph } from '../onnx-writer/quantize/quantize-graph.ts';
import { prepareModel } from '../prepared-model.ts';
import type { OutputSpec } from '../spec/spec.ts';
import { readSpec } from '../spec/spec-file.ts';
import { parseModelJson, readModelJson } from '../tfjs/manifest.ts';
import { decodeWeights, readWeights } from '../tfjs/weights.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const IMAGES = path.resolve(ROOT, '../shared/images');
const RESNET = path.join(ROOT, 'models/resnet50');

async function probabilitiesOf(
  session: ort.InferenceSession,
  pixels: Uint8Array,
  shape: number[],
): Promise<Float32Array> {
  const image = new ort.Tensor('uint8', pixels, [pixels.length / shape.reduce((a, b) => a * b, 1), ...shape]);
  return (await session.run({ image }, ['probabilities'])).probabilities?.data as Float32Array;
}

const open = (bytes: Uint8Array) => ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });

/** What it takes of the processor, in milliseconds: other programs do not change that as they change what a clock says. */
async function measureCpu(run: () => Promise<Float32Array>): Promise<[Float32Array, number]> {
  const began = process.cpuUsage();
  const values = await run();
  const { user, system } = process.cpuUsage(began);
  return [values, (user + system) / 1_000];
}

const first = (values: Float32Array): number => values.indexOf(Math.max(...values));

describe('an int8 version', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });

  /** The same images' probabilities in float32 and int8. @param seen images for calibration */
  async function runBoth(model: tf.LayersModel, answers: Answers & OutputSpec, seen: Uint8Array, unseen: Uint8Array) {
    const input = inputOf(8, 8, 3);
    const saved = await saveLayersModel(model);
    const modelJson = parseModelJson(JSON.stringify(saved.modelJson), 'model.json');
    const weights = decodeWeights(modelJson, () => Buffer.from(saved.weightData));
    const folder = await mkdtemp(path.join(os.tmpdir(), 'inferql-calibrate-'));
    const float = buildGraph(modelJson, weights, input, answers);
    const images = Array.from({ length: seen.length / 192 }, (_, i) => seen.subarray(i * 192, (i + 1) * 192));
    const options = { threads: 1, headroom: 1, folder, runner: localRunner };
    const ranges = await calibrate(float, [8, 8, 3], images, options);
    await rm(folder, { recursive: true });
    const versions: Float32Array[] = [];
    for (const calibration of [undefined, ranges]) {
      const session = await open(convertModel(modelJson, weights, input, answers, calibration).bytes);
      versions.push(await probabilitiesOf(session, unseen, [8, 8, 3]));
      await session.release();
    }
    return versions as [Float32Array, Float32Array];
  }

  test('of two classes from one number gives probabilities that no calibration image had', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 1, kernelSize: 1, activation: 'relu' }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.dense({ units: 1, activation: 'sigmoid' }),
      ],
    });
    // Of the brightness: 0.1 and 0.9 are the probabilities of black and white, and 0.5 that of the image for calibration, which is half of each.
    const slope = Math.log(9);
    model.setWeights([tf.fill([1, 1, 3, 1], 1 / 3), tf.tensor1d([1]), tf.tensor2d([[slope]]), tf.tensor1d([-slope])]);
    const answers = { activation: 'sigmoid', labelCount: 2 } as const;
    const [exact, rough] = await runBoth(model, answers, new Uint8Array(192).fill(255, 96), new Uint8Array(192));
    expect(exact[0]).toBeCloseTo(0.9, 5);
    expect(rough[0]).toBeCloseTo(0.9, 2);
  });

  test('whose last weights are a convolution gives scores that no calibration image had', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 2, kernelSize: 1, activation: 'relu' }),
        tf.layers.conv2d({ filters: 2, kernelSize: 1 }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.activation({ activation: 'softmax' }),
      ],
    });
    // The first class has the sum of red and green, each 0 to 2, and the second always 3. Calibration sees red and green, and never yellow.
    const [colors, scores] = [tf.tensor4d([1, 0, 0, 1, 0, 0], [1, 1, 3, 2]), tf.tensor4d([1, 0, 1, 0], [1, 1, 2, 2])];
    model.setWeights([colors, tf.tensor1d([1, 1]), scores, tf.tensor1d([0, 3])]);
    const image = (colorOf: (pixel: number) => number[]) =>
      Uint8Array.from(Array.from({ length: 64 }, (_, pixel) => colorOf(pixel)).flat());
    const seen = image((pixel) => (pixel % 2 === 0 ? [255, 0, 0] : [0, 255, 0]));
    const [exact, rough] = await runBoth(
      model,
      OUTPUT,
      seen,
      image(() => [255, 255, 0]),
    );
    expect(exact[0]).toBeCloseTo(0.731, 2);
    expect(rough[0]).toBeCloseTo(0.731, 2);
  });

  test('keeps the bias of channels whose weights are almost zero', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 3, kernelSize: 1, activation: 'relu' }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    });
    const kernel = tf.tensor4d([0, 1e-9, 1, 0, 1e-9, 1, 0, 1e-9, 1], [1, 1, 3, 3]);
    model.setWeights([kernel, tf.tensor1d([1, 0.5, 0]), tf.eye(3), tf.tensor1d([0, 0, 0])]);
    const pixels = randomPixels(inputOf(8, 8, 3), 2);
    const [exact, rough] = await runBoth(model, OUTPUT, pixels, pixels);
    expect(largestDifference(rough, exact)).toBeLessThan(0.01);
  });

  test('keeps a lower bound above zero', () => {
    const node = (op: string, inputs: string[], output: string) => ({ op, inputs, outputs: [output], attributes: {} });
    const nodes = [
      node('Conv', ['image', 'kernel'], 'a'),
      node('Clip', ['a', 'half', 'six'], 'b'),
      node('Conv', ['b', 'kernel'], 'c'),
      node('Clip', ['c', 'zero', 'six'], 'd'),
      node('Conv', ['d', 'kernel'], 'e'),
    ];
    const bounds = { zero: 0, half: 0.5, six: 6 };
    const constants = new Map(Object.entries(bounds).map(([name, value]) => [name, floatTensor([], [value])]));
    constants.set('kernel', floatTensor([1, 1, 1, 1], [1]));
    const port = (name: string) => ({ name, type: 'float32' as const, shape: [1, 1, 1, 1] });
    const graph = { nodes, constants, inputs: [port('image')], outputs: [port('e')] };
    quantizeGraph(graph, { image: [0, 8], b: [0.5, 6], d: [0.5, 6] });
    expect(graph.nodes.filter(({ op }) => op === 'Clip').map(({ inputs }) => inputs[1])).toEqual(['half']);
  });

  test('of residual, depthwise, pooled, padded and concatenated layers stays close to float32', async () => {
    const input = inputOf(24, 24, 3);
    const image = tf.input({ shape: [24, 24, 3] });
    const stem = tf.layers
      .conv2d({ filters: 8, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu' })
      .apply(image);
    const wide = tf.layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }).apply(stem);
    const norm = tf.layers.reLU({ maxValue: 6 }).apply(tf.layers.batchNormalization({}).apply(wide));
    const sum = tf.layers.reLU({}).apply(tf.layers.add().apply([stem, norm] as tf.SymbolicTensor[]));
    const pooled = tf.layers.maxPooling2d({ poolSize: 3, strides: 2 }).apply(sum);
    const averaged = tf.layers.averagePooling2d({ poolSize: 3, strides: 2 }).apply(sum);
    const both = tf.layers.concatenate().apply([pooled, averaged] as tf.SymbolicTensor[]);
    const head = tf.layers.globalAveragePooling2d({}).apply(both);
    const outputs = tf.layers.dense({ units: 5, activation: 'softmax' }).apply(head) as tf.SymbolicTensor;
    const model = tf.model({ inputs: image, outputs });
    randomizeWeights(model);
    const saved = await saveLayersModel(model);
    const modelJson = parseModelJson(JSON.stringify(saved.modelJson), 'model.json');
    const weights = decodeWeights(modelJson, () => Buffer.from(saved.weightData));
    const pixels = randomPixels(input, 16);
    const images = Array.from({ length: 16 }, (_, i) => pixels.subarray(i * 1728, (i + 1) * 1728));
    const folder = await mkdtemp(path.join(os.tmpdir(), 'inferql-calibrate-'));
    const ranges = await calibrate(buildGraph(modelJson, weights, input, OUTPUT), [24, 24, 3], images.slice(0, 8), {
      threads: 1,
      headroom: 1,
      folder,
      runner: localRunner,
    });
    await rm(folder, { recursive: true });
    expect(ranges.images).toBe(8);
    const float = await open(convertModel(modelJson, weights, input, OUTPUT).bytes);
    const int8 = await open(convertModel(modelJson, weights, input, OUTPUT, ranges).bytes);
    const unseen = pixels.subarray(8 * 1728);
    const exact = await probabilitiesOf(float, unseen, [24, 24, 3]);
    const rough = await probabilitiesOf(int8, unseen, [24, 24, 3]);
    expect(largestDifference(rough, exact)).toBeLessThan(0.02);
    expect(largestDifference(rough, exact)).toBeGreaterThan(0);
    const other = { ...ranges, graph: 'another' };
    expect(() => convertModel(modelJson, weights, input, OUTPUT, other)).toThrow(/another model or converter/);
  });

  test.skipIf(!existsSync(IMAGES))(
    "of ResNet50, from the committed ranges, has float32's best label on 96% of images it has not seen (needs ../shared/images)",
    async () => {
      const { spec } = await readSpec(RESNET);
      const model = await prepareModel({ modelDir: RESNET, stateDir: path.join(ROOT, '.inferql') });
      const modelJson = await readModelJson(model.tfjsPath ?? '');
      const weights = await readWeights(modelJson, path.dirname(model.tfjsPath ?? ''));
      const file = path.join(RESNET, 'calibration.json');
      const ranges = parseCalibration(await readFile(file, 'utf8'), file);
      const float = await ort.InferenceSession.create(model.onnxPath ?? '', { intraOpNumThreads: 1 });
      const int8 = await open(convertModel(modelJson, weights, spec.input, spec.output, ranges).bytes);
      const rows = (await readFile(path.join(IMAGES, 'reference.csv'), 'utf8')).trim().split('\n').slice(1);
      const times: [number[], number[]] = [[], []];
      let same = 0;
      let right = 0;
      for (const row of rows) {
        const [name = '', truth] = row.split(',');
        const pixels = await readSample(path.join(IMAGES, name), spec.input);
        const [exact, floatMs] = await measureCpu(() => probabilitiesOf(float, pixels, [224, 224, 3]));
        const [rough, int8Ms] = await measureCpu(() => probabilitiesOf(int8, pixels, [224, 224, 3]));
        times[0].push(floatMs);
        times[1].push(int8Ms);
        same += Number(first(exact) === first(rough));
        right += Number(first(rough) === Number(truth));
      }
      const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
      const speedup = median(times[0]) / median(times[1]);
      console.log(`int8: ${same} of 50 as float32, ${right} right, ${speedup.toFixed(2)} times as fast on one thread`);
      expect(same).toBeGreaterThanOrEqual(48);
      expect(right).toBeGreaterThanOrEqual(44);
      expect(speedup).toBeGreaterThan(1.7);
    },
  );
});
