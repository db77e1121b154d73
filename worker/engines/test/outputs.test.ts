/** Each engine on a model with two heads, an embedding and a tensor. */
import { GraphWriter, ints, text } from '@inferql/converter/golden/graph-writer.fixture';
import {
  largestDifference,
  randomizeWeights,
  randomPixels,
  saveLayersModel,
} from '@inferql/converter/golden/harness.fixture';
import { encodeTwoHeads, TWO_HEADS_LABELS, TWO_HEADS_SPEC } from '@inferql/converter/golden/onnx-file.fixture';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import type { ServableModel } from '../../serving/servable-model.ts';
import type { EngineName } from '../engine.ts';
import { ENGINES, setUpEngines } from './engines.fixture.ts';

const INPUT = { width: 8, height: 8, channels: 3 as const, kernel: 'linear' as const, normalization: 'unit' as const };
const COUNT = 5;
const IMAGE_BYTES = 8 * 8 * 3;
const PIXELS = randomPixels(INPUT, COUNT);
const IMAGES = Array.from({ length: COUNT }, (_, at) => PIXELS.subarray(at * IMAGE_BYTES, (at + 1) * IMAGE_BYTES));

const engines = setUpEngines();

/** One run of all images. */
async function runModel(model: ServableModel, engine: EngineName, threads = 1, images = IMAGES) {
  const running = await engines.start(model, engine, threads);
  try {
    return await running.run(images, false);
  } finally {
    await running.close();
  }
}

describe.each(ENGINES)('%s', (engine) => {
  test('gives each output of a tfjs model like tfjs', async () => {
    const image = tf.input({ shape: [8, 8, 3] });
    const conv = { filters: 4, kernelSize: 3, activation: 'relu', padding: 'same', name: 'grid' } as const;
    const grid = tf.layers.conv2d(conv).apply(image) as tf.SymbolicTensor;
    const features = tf.layers.globalAveragePooling2d({ name: 'features' }).apply(grid) as tf.SymbolicTensor;
    const head = (name: string, units: number, activation: 'softmax' | 'linear') =>
      tf.layers.dense({ units, activation, name }).apply(features) as tf.SymbolicTensor;
    const outputs = [head('color', 3, 'linear'), head('kind', 4, 'softmax'), features, grid];
    const model = tf.model({ inputs: image, outputs });
    randomizeWeights(model);
    const unit = tf.tensor4d(PIXELS, [COUNT, 8, 8, 3], 'int32').toFloat().div(255);
    const [color, kind, vector, map] = model.predict(unit) as tf.Tensor[];
    const { modelJson, weightData } = await saveLayersModel(model);
    const spec = {
      source: { type: 'folder', model: 'model.json', labels: 'labels.json' },
      format: 'tfjs-layers',
      input: INPUT,
      output: { name: 'kind' },
      outputs: {
        color: { type: 'labels', labels: ['red', 'green', 'blue'], activation: 'logits-sigmoid' },
        vector: { type: 'embedding', size: 4, from: 'features' },
        grid: { type: 'tensor', shape: [8, 8, 4] },
      },
    };
    const prepared = await engines.prepare('layers', {
      'model.json': JSON.stringify(modelJson),
      'weights.bin': new Uint8Array(weightData),
      'labels.json': JSON.stringify(TWO_HEADS_LABELS),
      'model.json5': JSON.stringify(spec),
    });
    const run = await runModel(prepared, engine, 2);
    expect(largestDifference(run.probabilities, await kind!.data())).toBeLessThan(1e-5);
    expect(Object.keys(run.outputs!)).toEqual(['color', 'vector', 'grid']);
    expect(largestDifference(run.outputs!.color!, await color!.sigmoid().data())).toBeLessThan(1e-5);
    expect(largestDifference(run.outputs!.vector!, await vector!.data())).toBeLessThan(1e-5);
    expect(largestDifference(run.outputs!.grid!, await map!.data())).toBeLessThan(1e-5);
  });

  test('gives each output of a graph model as tfjs does', async () => {
    const input = { ...INPUT, height: 11 };
    const pixels = randomPixels(input, COUNT);
    const graph = new GraphWriter();
    const grid = graph.node('Conv2D', ['image', graph.weights(3, 3, 3, 4)], {
      data_format: { s: text('NHWC') },
      dilations: ints(1, 1, 1, 1),
      strides: ints(1, 2, 2, 1),
      padding: { s: text('SAME') },
    });
    const features = graph.node('Mean', [grid, graph.ints(1, 2)], { keep_dims: { b: false } });
    const head = (units: number) => graph.node('MatMul', [features, graph.weights(4, units)]);
    const [color, kind] = [head(3), graph.node('Softmax', [head(4)])];
    const { modelJson, weightData } = graph.model(color, kind, features, grid);
    const { modelTopology, weightsManifest } = modelJson as {
      modelTopology: object;
      weightsManifest: tf.io.WeightsManifestConfig;
    };
    const reference = await tf.loadGraphModel({
      load: async () => ({
        format: 'graph-model',
        modelTopology: structuredClone(modelTopology),
        weightSpecs: weightsManifest[0]!.weights,
        weightData,
      }),
    });
    const unit = tf.tensor4d(pixels, [COUNT, 11, 8, 3], 'int32').toFloat().div(255);
    const expected = reference.execute(unit, [color, kind, features, grid]) as tf.Tensor[];
    const spec = {
      source: { type: 'folder', model: 'model.json', labels: 'labels.json' },
      format: 'tfjs-graph',
      input,
      output: { name: 'output_1' },
      outputs: {
        color: { type: 'labels', labels: ['red', 'green', 'blue'], activation: 'logits', from: 'output_0' },
        vector: { type: 'embedding', size: 4, from: 'output_2' },
        grid: { type: 'tensor', shape: [6, 4, 4], from: 'output_3' },
      },
    };
    const files = {
      'model.json': JSON.stringify(modelJson),
      'weights.bin': new Uint8Array(weightData),
      'labels.json': JSON.stringify(TWO_HEADS_LABELS),
    };
    const prepared = await engines.prepare('graph', { ...files, 'model.json5': JSON.stringify(spec) });
    const bytes = pixels.length / COUNT;
    const images = Array.from({ length: COUNT }, (_, at) => pixels.subarray(at * bytes, (at + 1) * bytes));
    const run = await runModel(prepared, engine, 2, images);
    expect(Object.keys(run.outputs!)).toEqual(['color', 'vector', 'grid']);
    const found = [run.outputs!.color!, run.probabilities, run.outputs!.vector!, run.outputs!.grid!];
    expected[0] = expected[0]!.softmax();
    for (const [at, values] of found.entries()) {
      expect(largestDifference(values, await expected[at]!.data()), `output_${at}`).toBeLessThan(1e-5);
    }

    const wrong = { ...spec, outputs: { vector: { type: 'embedding', size: 4, from: 'output_7' } } };
    const running = engines
      .prepare('graph-wrong', { ...files, 'model.json5': JSON.stringify(wrong) })
      .then((model) => runModel(model, engine));
    await expect(running).rejects.toThrow('output_7');
  });
});

test.each([
  ['any batch on two threads', undefined, 2],
  ['a fixed batch', 2, 1],
])('an ONNX file of %s gives the same for each image', async (_what, batch, threads) => {
  const name = `heads-${batch ?? 'any'}`;
  const labels = JSON.stringify(TWO_HEADS_LABELS);
  const file = encodeTwoHeads(batch === undefined ? {} : { batch });
  const files = { 'labels.json': labels, 'model.json5': JSON.stringify(TWO_HEADS_SPEC) };
  const model = await engines.prepare(name, { 'model.onnx': file, ...files });
  const any = await engines.prepare('heads', { 'model.onnx': encodeTwoHeads(), ...files });
  const [expected, found] = [await runModel(any, 'onnxruntime'), await runModel(model, 'onnxruntime', threads)];
  expect(found.outputs!.grid).toBeInstanceOf(Int32Array);
  expect(found.outputs!.grid!.length).toBe(COUNT * 512);
  for (const output of ['color', 'vector', 'grid']) {
    expect(largestDifference(found.outputs![output]!, expected.outputs![output]!), output).toBeLessThan(0.05);
  }
  expect(largestDifference(found.outputs!.vector!, expected.outputs!.vector!)).toBeLessThan(1e-6);
  expect(largestDifference(found.probabilities, expected.probabilities)).toBeLessThan(1e-6);
});
