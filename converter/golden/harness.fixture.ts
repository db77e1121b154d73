import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import onnxProto from 'onnx-proto';
import ort from 'onnxruntime-node';
import { largestDifference as differenceOf, largestNumber } from '../largest-difference.ts';
import { convertModel } from '../onnx-writer/convert-model.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import { normalizationOf } from '../spec/normalization.ts';
import type { OutputSpec } from '../spec/spec.ts';
import { parseModelJson } from '../tfjs/manifest.ts';
import { decodeWeights, type Weight } from '../tfjs/weights.ts';

const { onnx } = onnxProto;

/** Numbers that look random and are the same on every run. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What tfjs and the converter both start from. */
export interface TestModel {
  modelJson: object;
  weightData: ArrayBuffer;
}

/** Gives every weight of a model random values: positive variances, and nothing that the model would blow up. */
export function randomizeWeights(model: tf.LayersModel, seed = 1): void {
  const random = createRandom(seed);
  model.setWeights(
    model.weights.map((weight) => {
      const positive = /variance|gamma/.test(weight.name);
      const fanIn = weight.shape.slice(0, -1).reduce<number>((a, b) => a * (b ?? 1), 1);
      const spread = weight.shape.length > 1 ? Math.sqrt(3 / fanIn) : 0.5;
      const values = Array.from({ length: tf.util.sizeFromShape(weight.shape as number[]) }, () =>
        positive ? 0.5 + random() : (random() * 2 - 1) * spread,
      );
      return tf.tensor(values, weight.shape as number[]);
    }),
  );
}

/** A layers model as tfjs would save it. */
export async function saveLayersModel(model: tf.LayersModel): Promise<TestModel> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save({
    save: async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    },
  });
  const weightData = saved?.weightData as ArrayBuffer;
  const modelJson = {
    format: 'layers-model',
    modelTopology: saved?.modelTopology,
    weightsManifest: [{ paths: ['weights.bin'], weights: saved?.weightSpecs }],
  };
  return { modelJson, weightData };
}

export const OUTPUT: OutputSpec = { activation: 'softmax' };

export function inputOf(height: number, width: number, channels: 1 | 3): InputSpec {
  return { height, width, channels, kernel: 'linear', normalization: 'tf' };
}

/** Random pixels [count, height, width, channels]. */
export function randomPixels(input: InputSpec, count: number): Uint8Array {
  const random = createRandom(7);
  return Uint8Array.from({ length: count * input.height * input.width * input.channels }, () => random() * 256);
}

/** Pixels as tfjs' model expects them. */
export function toTensor(pixels: Uint8Array, input: InputSpec): tf.Tensor4D {
  const { mean, scale, reverseChannels } = normalizationOf(input);
  const channels = input.channels;
  const values = Float32Array.from(pixels, (_, i) => {
    const at = i % channels;
    const channel = reverseChannels ? channels - 1 - at : at;
    return ((pixels[i - at + channel] ?? 0) - (mean[channel] ?? 0)) * (scale[channel] ?? 1);
  });
  return tf.tensor4d(values, [
    pixels.length / (input.height * input.width * channels),
    input.height,
    input.width,
    channels,
  ]);
}

/** Converts a test model and runs it in onnxruntime. */
export async function runConverted(
  model: TestModel,
  pixels: Uint8Array,
  input: InputSpec,
  output: OutputSpec = OUTPUT,
): Promise<{ probabilities: Float32Array; nodes: string[]; features?: ort.Tensor; cam: object }> {
  const modelJson = parseModelJson(JSON.stringify(model.modelJson), 'model.json');
  const weights: Map<string, Weight> = decodeWeights(modelJson, () => Buffer.from(model.weightData));
  const { bytes, cam } = convertModel(modelJson, weights, input, output);
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const count = pixels.length / (input.height * input.width * input.channels);
  const image = new ort.Tensor('uint8', pixels, [count, input.height, input.width, input.channels]);
  const outputs = await session.run({ image });
  await session.release();
  const features = outputs.features;
  return {
    probabilities: outputs.probabilities?.data as Float32Array,
    nodes: onnx.ModelProto.decode(bytes).graph?.node?.map((node) => node.opType ?? '') ?? [],
    cam,
    ...(features ? { features } : {}),
  };
}

/** The largest difference, relative to the largest expected value if that is above 1. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return differenceOf(actual, expected) / Math.max(1, largestNumber(expected));
}

/**
 * Largest difference of a converted layers model's output in onnxruntime from tfjs'.
 * @returns the difference, and the ops of the converted graph
 */
export async function compareLayersModel(model: tf.LayersModel, input: InputSpec, batch = 2) {
  randomizeWeights(model);
  const pixels = randomPixels(input, batch);
  const expected = tf.tidy(() => (model.predict(toTensor(pixels, input)) as tf.Tensor).dataSync());
  const result = await runConverted(await saveLayersModel(model), pixels, input);
  return { difference: largestDifference(result.probabilities, expected), nodes: result.nodes };
}

/** Reads a model.json and its shards, which tfjs supports only in browsers. */
export async function diskLoader(file: string): Promise<tf.io.IOHandler> {
  const modelJson = JSON.parse(await readFile(file, 'utf8')) as tf.io.ModelJSON;
  const shards = modelJson.weightsManifest.flatMap((group) => group.paths);
  const bytes = Buffer.concat(await Promise.all(shards.map((shard) => readFile(path.join(path.dirname(file), shard)))));
  const weightData = new Uint8Array(bytes).buffer;
  const weightSpecs = modelJson.weightsManifest.flatMap((group) => group.weights);
  const { modelTopology, format, signature } = modelJson;
  return {
    load: async () => ({
      modelTopology,
      weightSpecs,
      weightData,
      ...(format && { format }),
      ...(signature && { signature }),
    }),
  };
}
