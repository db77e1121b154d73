/** Shared by the tests of graph models: tfjs and the converter run the same graph. Importing it chooses tfjs' backend. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll } from 'vitest';
import { GraphWriter, ints, text } from './graph-writer.fixture.ts';
import { inputOf, largestDifference, randomPixels, runConverted, toTensor } from './harness.fixture.ts';

export const LIMIT = 1e-5;
export const INPUT = inputOf(11, 8, 3);

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type Write = (graph: GraphWriter) => string;

function save(write: Write) {
  const writer = new GraphWriter();
  return writer.model(write(writer));
}

/** A converted graph's output in onnxruntime. */
export async function convertOnly(write: Write, input = INPUT): Promise<Float32Array> {
  return (await runConverted(save(write), randomPixels(input, 2), input)).probabilities;
}

/**
 * Largest difference of a converted graph's output in onnxruntime from tfjs'.
 * @param reference the same graph with nodes that tfjs has; it must make the same weights in the same order
 */
export async function difference(write: Write, reference = write): Promise<number> {
  const saved = save(reference);
  const json = saved.modelJson as {
    modelTopology: object;
    signature: object;
    weightsManifest: tf.io.WeightsManifestConfig;
  };
  const model = await tf.loadGraphModel({
    load: async () => ({
      format: 'graph-model',
      modelTopology: structuredClone(json.modelTopology),
      signature: json.signature,
      weightSpecs: json.weightsManifest[0]!.weights,
      weightData: saved.weightData,
    }),
  });
  const pixels = randomPixels(INPUT, 2);
  const expected = tf.tidy(() => (model.execute(toTensor(pixels, INPUT)) as tf.Tensor).dataSync());
  return largestDifference(await convertOnly(write), expected);
}

export const conv = (strides: number, padding: string, dilation = 1) => ({
  strides: ints(1, strides, strides, 1),
  dilations: ints(1, dilation, dilation, 1),
  padding: { s: text(padding) },
  data_format: { s: text('NHWC') },
});
export const features = (graph: GraphWriter) =>
  graph.node('Conv2D', ['image', graph.weights(3, 3, 3, 6)], conv(1, 'SAME'));
/** What a Pad adds before and after each of four dimensions. */
export const sides = (graph: GraphWriter, ...values: number[]) => {
  const flat = graph.ints(...values);
  return graph.node('Reshape', [flat, graph.ints(4, 2)]);
};
