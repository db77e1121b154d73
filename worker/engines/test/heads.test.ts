/** Each engine on models whose answer is not one row of scores: one number for two classes, and one of several outputs. */
import { GraphWriter, ints, text } from '@inferql/converter/golden/graph-writer.fixture';
import {
  largestDifference,
  randomizeWeights,
  randomPixels,
  saveLayersModel,
  type TestModel,
} from '@inferql/converter/golden/harness.fixture';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import type { EngineName } from '../engine.ts';
import { ENGINES, setUpEngines } from './engines.fixture.ts';

const INPUT = { width: 8, height: 11, channels: 3 as const, kernel: 'linear' as const, normalization: 'unit' as const };
const COUNT = 3;
const PIXELS = randomPixels(INPUT, COUNT);
const IMAGE_BYTES = PIXELS.length / COUNT;
const IMAGES = Array.from({ length: COUNT }, (_, at) => PIXELS.subarray(at * IMAGE_BYTES, (at + 1) * IMAGE_BYTES));

const engines = setUpEngines();

async function answersOf(name: string, saved: TestModel, output: object, labels: string[], engine: EngineName) {
  const { modelJson, weightData } = saved;
  const format = (modelJson as { format: string }).format === 'layers-model' ? 'tfjs-layers' : 'tfjs-graph';
  const source = { type: 'folder', model: 'model.json', labels: 'labels.json' };
  const spec = { source, format, input: INPUT, output };
  const model = await engines.prepare(name, {
    'model.json': JSON.stringify(modelJson),
    'weights.bin': new Uint8Array(weightData),
    'labels.json': JSON.stringify(labels),
    'model.json5': JSON.stringify(spec),
  });
  const running = await engines.start(model, engine);
  try {
    return { task: model.task, probabilities: (await running.run(IMAGES, false)).probabilities };
  } finally {
    await running.close();
  }
}

function toUnit(): tf.Tensor4D {
  return tf.tensor4d(PIXELS, [COUNT, INPUT.height, INPUT.width, 3], 'int32').toFloat().div(255);
}

describe.each(ENGINES)('%s', (engine) => {
  test.each(['sigmoid', 'linear'] as const)(
    'makes two classes of one number (%s) for two labels',
    async (activation) => {
      const model = tf.sequential({
        layers: [
          tf.layers.conv2d({
            inputShape: [INPUT.height, INPUT.width, 3],
            filters: 4,
            kernelSize: 3,
            activation: 'relu',
          }),
          tf.layers.globalAveragePooling2d({}),
          tf.layers.dense({ units: 1, activation }),
        ],
      });
      randomizeWeights(model);
      const raw = model.predict(toUnit()) as tf.Tensor;
      const positive = await (activation === 'sigmoid' ? raw : raw.sigmoid()).data();
      const expected = [...positive].flatMap((value) => [1 - value, value]);
      const output = { activation: activation === 'sigmoid' ? 'sigmoid' : 'logits-sigmoid' };
      const name = `binary-${engine}-${activation}`;
      const { probabilities, task } = await answersOf(
        name,
        await saveLayersModel(model),
        output,
        ['no', 'yes'],
        engine,
      );
      expect(largestDifference(probabilities, expected)).toBeLessThan(1e-5);
      expect(task).toBe('single-label');
    },
  );

  test('answers with the output that the spec names', async () => {
    const graph = new GraphWriter();
    const format = {
      data_format: { s: text('NHWC') },
      dilations: ints(1, 1, 1, 1),
      strides: ints(1, 2, 2, 1),
      padding: { s: text('SAME') },
    };
    const convolved = graph.node('Conv2D', ['image', graph.weights(3, 3, 3, 4)], format);
    const pooled = graph.node('Mean', [convolved, graph.ints(1, 2)], { keep_dims: { b: false } });
    const [first, second] = [1, 2].map(() =>
      graph.node('Softmax', [graph.node('MatMul', [pooled, graph.weights(4, 3)])]),
    );
    const saved = graph.model(first!, second!);
    const json = saved.modelJson as {
      format: string;
      modelTopology: object;
      weightsManifest: tf.io.WeightsManifestConfig;
    };
    const reference = await tf.loadGraphModel({
      load: async () => ({
        format: json.format,
        modelTopology: structuredClone(json.modelTopology),
        weightSpecs: json.weightsManifest[0]!.weights,
        weightData: saved.weightData,
      }),
    });
    const expected = await (reference.execute(toUnit(), second!) as tf.Tensor).data();
    const output = { activation: 'softmax', name: 'output_1' };
    const { probabilities } = await answersOf(`outputs-${engine}`, saved, output, ['a', 'b', 'c'], engine);
    expect(largestDifference(probabilities, [...expected])).toBeLessThan(1e-5);
  });
});
