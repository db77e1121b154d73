import { GraphWriter, text } from '@inferql/converter/golden/graph-writer.fixture';
import { largestDifference } from '@inferql/converter/golden/harness.fixture';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { replaceGraphOps } from './graph-ops.ts';

const EPSILON = 0.25;
const COUNT = 2 * 11 * 8 * 3;
const IMAGES = tf.tensor4d(
  Float32Array.from({ length: COUNT }, (_, i) => ((i * 37) % 101) / 50 - 1),
  [2, 11, 8, 3],
);
const [SCALE, OFFSET, MEAN, VARIANCE] = [
  [1.5, -2, 0.5],
  [0.1, 0.2, -0.3],
  [0.3, -0.1, 0.2],
  [0.5, 2, 1],
] as const;

beforeAll(async () => {
  await tf.setBackend('cpu');
  replaceGraphOps();
});

async function run(write: (graph: GraphWriter) => string): Promise<Float32Array> {
  const writer = new GraphWriter();
  const { modelJson, weightData } = writer.model(write(writer));
  const { weightsManifest, ...json } = modelJson as { weightsManifest: tf.io.WeightsManifestConfig };
  const artifacts = { ...json, weightSpecs: weightsManifest[0]!.weights, weightData };
  const model = await tf.loadGraphModel({ load: async () => artifacts });
  return tf.tidy(() => (model.execute(IMAGES) as tf.Tensor).dataSync()) as Float32Array;
}

/** Of each image's channels, given with their place. */
function expectedOf(change: (value: number, channel: number, at: number) => number): number[] {
  return Array.from(IMAGES.dataSync(), (value, at) => change(value, at % 3, at));
}

const normal = (value: number, channel: number) =>
  ((value - MEAN[channel]!) / Math.sqrt(VARIANCE[channel]! + EPSILON)) * SCALE[channel]! + OFFSET[channel]!;

describe("a graph's batch normalization is TensorFlow's", () => {
  const numbers = (g: GraphWriter) => [SCALE, OFFSET, MEAN, VARIANCE].map((values) => g.float(...values));
  const attr = { epsilon: { f: EPSILON }, is_training: { b: false } };

  test('with channels last and channels first', async () => {
    const last = (g: GraphWriter) => g.node('FusedBatchNormV3', ['image', ...numbers(g)], attr);
    expect(largestDifference(await run(last), expectedOf(normal))).toBeLessThan(1e-6);
    const first = (g: GraphWriter) => {
      const turned = g.node('Transpose', ['image', g.ints(0, 3, 1, 2)]);
      const format = { ...attr, data_format: { s: text('NCHW') } };
      const normalized = g.node('FusedBatchNormV2', [turned, ...numbers(g)], format);
      return g.node('Transpose', [normalized, g.ints(0, 2, 3, 1)]);
    };
    expect(largestDifference(await run(first), expectedOf(normal))).toBeLessThan(1e-6);
  });

  test('in training, with the statistics of what it is given', async () => {
    const rows = (g: GraphWriter) => {
      const row = g.node('Reshape', ['image', g.ints(1, COUNT / 3, 3, 1)]);
      const fill = (value: number) => g.node('Fill', [g.ints(COUNT / 3), g.float(value)]);
      const format = { data_format: { s: text('NCHW') }, epsilon: { f: EPSILON }, is_training: { b: true } };
      return g.node('FusedBatchNorm', [row, fill(2), fill(0.5), g.weights(0), g.weights(0)], format);
    };
    const values = IMAGES.dataSync();
    const expected = expectedOf((value, channel, at) => {
      const row = [...values.slice(at - channel, at - channel + 3)];
      const mean = row.reduce((a, b) => a + b, 0) / 3;
      const variance = row.reduce((sum, one) => sum + (one - mean) ** 2, 0) / 3;
      return ((value - mean) / Math.sqrt(variance + EPSILON)) * 2 + 0.5;
    });
    expect(largestDifference(await run(rows), expected)).toBeLessThan(1e-6);
  });
});
