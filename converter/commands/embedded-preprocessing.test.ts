/** Preprocessing inside tfjs models is not done again outside. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GraphWriter, ints, text } from '../golden/graph-writer.fixture.ts';
import { randomizeWeights, saveLayersModel, type TestModel } from '../golden/harness.fixture.ts';
import { inspectModel } from '../inspect/inspect.ts';
import { localRunner } from '../model-process/local-runner.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-embedded-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function inspect({ modelJson, weightData }: TestModel) {
  await mkdir(root, { recursive: true });
  await writeFile(path.join(root, 'model.json'), JSON.stringify(modelJson));
  await writeFile(path.join(root, 'weights.bin'), new Uint8Array(weightData));
  const found = await inspectModel(
    path.join(root, 'model.json'),
    {},
    { labels: undefined, images: [], scratch: root, runner: localRunner },
  );
  const row = found.findings.rows.find(({ what }) => what === 'normalization');
  return { normalization: found.input.normalization, isGuess: found.normalizationIsGuess, row };
}

/** Ends a graph with a convolution, a mean over the pixels and a dense layer. */
function endGraph(graph: GraphWriter, input: string, weights = graph.weights(3, 3, 3, 4)): TestModel {
  const format = { data_format: { s: text('NHWC') }, strides: ints(1, 2, 2, 1), padding: { s: text('SAME') } };
  const convolved = graph.node('Conv2D', [input, weights], format);
  const pooled = graph.node('Mean', [convolved, graph.ints(1, 2)], { keep_dims: { b: false } });
  return graph.model(graph.node('Softmax', [graph.node('MatMul', [pooled, graph.weights(4, 3)])]));
}

describe('a graph model', () => {
  test.each([
    [
      'Rescaling to -1..1',
      (g: GraphWriter) => g.node('AddV2', [g.node('Mul', ['image', g.float(1 / 127.5)]), g.float(-1)]),
      'none',
    ],
    [
      "preprocess_input of mode 'tf'",
      (g: GraphWriter) => g.node('Sub', [g.node('RealDiv', ['image', g.float(127.5)]), g.float(1)]),
      'none',
    ],
    [
      'a Normalization layer',
      (g: GraphWriter) =>
        g.node('RealDiv', [g.node('Sub', ['image', g.float(123.7, 116.3, 103.5)]), g.float(58.4, 57.1, 57.4)]),
      'none',
    ],
    [
      "a hub module's -1..1 of 0..1",
      (g: GraphWriter) => g.node('Sub', [g.node('Mul', ['image', g.float(2)]), g.float(1)]),
      'unit',
    ],
    [
      "preprocess_input of mode 'caffe'",
      (g: GraphWriter) => {
        const masks = { begin_mask: { i: '15' }, end_mask: { i: '15' } };
        const ends = [g.ints(0, 0, 0, 0), g.ints(0, 0, 0, 0), g.ints(1, 1, 1, -1)];
        const reversed = g.node('StridedSlice', ['image', ...ends], masks);
        return g.node('BiasAdd', [reversed, g.float(-103.939, -116.779, -123.68)]);
      },
      'none',
    ],
    [
      "preprocess_input of mode 'caffe' with a gather",
      (g: GraphWriter) => {
        const reversed = g.node('GatherV2', ['image', g.ints(2, 1, 0), g.int(3)]);
        return g.node('BiasAdd', [reversed, g.float(-103.939, -116.779, -123.68)]);
      },
      'none',
    ],
    [
      'a Normalization layer with a mean per pixel',
      (g: GraphWriter) => {
        const mean = g.node('Mul', [g.weights(11, 8, 3), g.float(20)]);
        return g.node('RealDiv', [g.node('Sub', ['image', mean]), g.float(127.5)]);
      },
      'none',
    ],
    [
      'a limit, and constants behind other operators',
      (g: GraphWriter) => {
        const limited = g.node('Minimum', [g.node('Maximum', ['image', g.float(0)]), g.float(1)]);
        const deviation = g.node('Sqrt', [g.float(0.05, 0.06, 0.07)]);
        return g.node('RealDiv', [g.node('Sub', [limited, g.float(0.5, 0.4, 0.3)]), deviation]);
      },
      'unit',
    ],
    [
      'mean and deviation of 0..1',
      (g: GraphWriter) =>
        g.node('RealDiv', [g.node('Sub', ['image', g.float(0.485, 0.456, 0.406)]), g.float(0.229, 0.224, 0.225)]),
      'unit',
    ],
  ])('with %s gets the values that this expects', async (_, preprocess, normalization) => {
    const graph = new GraphWriter();
    const found = await inspect(endGraph(graph, preprocess(graph)));
    expect(found).toMatchObject({ normalization, isGuess: false, row: { certainty: 'read' } });
    expect(found.row?.from).toMatch(/the model itself (multiplies|divides|subtracts|exchanges|makes)/);
  });

  test('with per_image_standardization gets bytes, since a factor makes no difference', async () => {
    const graph = new GraphWriter();
    const mean = (value: string) => graph.node('Mean', [value, graph.ints(1, 2, 3)], { keep_dims: { b: true } });
    const centered = graph.node('Sub', ['image', mean('image')]);
    const deviation = graph.node('Sqrt', [mean(graph.node('Square', [centered]))]);
    const divisor = graph.node('Maximum', [deviation, graph.float(1 / Math.sqrt(11 * 8 * 3))]);
    const found = await inspect(endGraph(graph, graph.node('RealDiv', [centered, divisor])));
    expect(found).toMatchObject({ normalization: 'none', isGuess: false, row: { certainty: 'read' } });
    expect(found.row?.from).toMatch(/divides each image by its deviation/);
  });

  test('with a layer normalization of each pixel, which shows nothing of the image, is a guess', async () => {
    const graph = new GraphWriter();
    const mean = (value: string) => graph.node('Mean', [value, graph.ints(3)], { keep_dims: { b: true } });
    const centered = graph.node('Sub', ['image', mean('image')]);
    const variance = graph.node('AddV2', [mean(graph.node('Square', [centered])), graph.float(1e-5)]);
    const found = await inspect(endGraph(graph, graph.node('Mul', [centered, graph.node('Rsqrt', [variance])])));
    expect(found).toMatchObject({ normalization: 'unit', isGuess: true, row: { certainty: 'guessed' } });
  });

  test('with arithmetic that shows no usual values is refused with the flags, and not guessed', async () => {
    const graph = new GraphWriter();
    const power = graph.node('Pow', ['image', graph.float(2.2)]);
    const front = graph.node('AddV2', [graph.node('Mul', [power, graph.float(40)]), graph.float(-3)]);
    await expect(inspect(endGraph(graph, front))).rejects.toThrow(
      /^--normalization: the model itself makes -3\.\.\S+ of 0\.\.255 and -3\.\.37 of 0\.\.1, .*: pass none for 0\.\.255/,
    );
  });

  test('without any is a guess, and says so', async () => {
    const graph = new GraphWriter();
    const found = await inspect(endGraph(graph, 'image'));
    expect(found).toMatchObject({ normalization: 'unit', isGuess: true, row: { certainty: 'guessed' } });
  });
});

describe('a layers model', () => {
  test('with a Rescaling layer gets bytes', async () => {
    const input = tf.input({ shape: [16, 16, 3] });
    const scaled = tf.layers.rescaling({ scale: 1 / 127.5, offset: -1 }).apply(input);
    const convolved = tf.layers.conv2d({ filters: 4, kernelSize: 3 }).apply(scaled);
    const pooled = tf.layers.globalAveragePooling2d({}).apply(convolved);
    const output = tf.layers.dense({ units: 3, activation: 'softmax' }).apply(pooled) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: output });
    randomizeWeights(model);
    const found = await inspect(await saveLayersModel(model));
    expect(found).toMatchObject({ normalization: 'none', isGuess: false });
  });
});
