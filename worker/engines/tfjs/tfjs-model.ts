/** Shared by the engines tensorflow and wasm: a tfjs model from its folder, run by the current backend. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseGraph } from '@inferql/converter/tfjs/graphdef';
import { isKeras3, requireFaithful, toKeras2 } from '@inferql/converter/tfjs/keras3';
import {
  isGraphModel,
  type ModelJson,
  readModelJson,
  signatureOf,
  storedBytes,
} from '@inferql/converter/tfjs/manifest';
import { nameOutputs, parseTopology } from '@inferql/converter/tfjs/topology';
import { readWeights } from '@inferql/converter/tfjs/weights';
import * as tf from '@tensorflow/tfjs';
import { createMapDrawer, type Features, type Multiply } from '../class-activation-maps.ts';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';

/** Predicts normalized images: the model's probabilities, and features if it has any. */
interface Predictor {
  /** The model's fixed batch size; undefined: any number. */
  fixedBatch: number | undefined;
  predict(images: tf.Tensor4D, wantFeatures: boolean): Promise<{ answers: tf.Tensor; features?: tf.Tensor4D }>;
  hasFeatures: boolean;
}

interface PredictedPart {
  probabilities: Float32Array;
  features?: Features;
}

/**
 * Loads the model on tfjs' current backend.
 * @throws EngineLoadError 'unsupported' if there is no tfjs model, 'failed' if tfjs cannot read it
 */
export async function loadTfjsModel(model: EngineModel): Promise<LoadedModel> {
  const { tfjs, input, classCount } = model;
  if (!tfjs) throw new EngineLoadError('unsupported', 'the model is not a tfjs model');
  let predictor: Predictor;
  try {
    predictor = await loadPredictor(tfjs);
  } catch (error) {
    throw new EngineLoadError('failed', `tfjs cannot load the model: ${(error as Error).message}`, error);
  }
  const { mean, scale, reverseChannels } = tfjs.normalization;
  const [means, scales] = [tf.tensor1d(mean), tf.tensor1d(scale)];
  const imageBytes = input.width * input.height * input.channels;

  const normalize = (images: Uint8Array, count: number) =>
    tf.tidy(() => {
      const pixels = tf.tensor4d(images, [count, input.height, input.width, input.channels], 'int32').toFloat();
      const normalized = pixels.sub(means).mul(scales) as tf.Tensor4D;
      return reverseChannels ? normalized.reverse(3) : normalized;
    });

  const drawMaps =
    model.heatmap && predictor.hasFeatures ? createMapDrawer(model.heatmap, classCount, multiply) : undefined;

  async function runPart(images: Uint8Array, count: number, wantFeatures: boolean): Promise<PredictedPart> {
    const normalized = normalize(images, count);
    const { answers, features } = await predictor.predict(normalized, wantFeatures);
    const probabilities = tf.tidy(() => {
      const values = activate(answers.reshape([count, -1]) as tf.Tensor2D, tfjs!.activation);
      // One number per image distinguishes two classes.
      return values.shape[1] === 1 && classCount === 2 ? tf.concat([tf.sub(1, values), values], 1) : values;
    });
    const channelsFirst = features?.transpose([0, 3, 1, 2]);
    try {
      if (probabilities.shape[1] !== classCount) {
        throw new Error(`the model answers ${probabilities.shape[1]} values an image, not ${classCount}`);
      }
      const output: PredictedPart = { probabilities: (await probabilities.data()) as Float32Array };
      if (!channelsFirst) return output;
      const [, channels, height, width] = channelsFirst.shape as [number, number, number, number];
      return { ...output, features: { values: (await channelsFirst.data()) as Float32Array, channels, height, width } };
    } finally {
      tf.dispose([normalized, answers, probabilities, ...(features ? [features, channelsFirst!] : [])]);
    }
  }

  return {
    hasHeatmaps: drawMaps !== undefined,
    async run({ images, count, wantHeatmaps }) {
      const { fixedBatch = count } = predictor;
      const wantFeatures = wantHeatmaps && drawMaps !== undefined;
      const parts: PredictedPart[] = [];
      for (let at = 0; at < count; at += fixedBatch) {
        parts.push(await runPart(cutPart(images, at * imageBytes, fixedBatch * imageBytes), fixedBatch, wantFeatures));
      }
      const { probabilities, features } = joinParts(parts, count, classCount);
      return features && drawMaps
        ? { probabilities, maps: await drawMaps(probabilities, features) }
        : { probabilities };
    },
  };
}

/** A model of a fixed batch size gets black images if there are too few. */
function cutPart(images: Uint8Array, from: number, length: number): Uint8Array {
  if (from === 0 && images.length === length) return images;
  const part = new Uint8Array(length);
  part.set(images.subarray(from, from + length));
  return part;
}

function joinParts(parts: PredictedPart[], count: number, classCount: number): PredictedPart {
  const [only, ...others] = parts;
  if (only && others.length === 0 && only.probabilities.length === count * classCount) return only;
  const joined = joinFloats(parts.map(({ probabilities }) => probabilities));
  const output: PredictedPart = { probabilities: joined.subarray(0, count * classCount) };
  const first = parts[0]?.features;
  if (!first) return output;
  const values = joinFloats(parts.map(({ features }) => features!.values));
  const length = count * first.channels * first.height * first.width;
  return { ...output, features: { ...first, values: values.subarray(0, length) } };
}

function joinFloats(parts: Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

const multiply: Multiply = async (left, right, { count, rows, inner, columns }) => {
  const product = tf.tidy(() =>
    tf.matMul(tf.tensor3d(left, [count, rows, inner]), tf.tensor3d(right, [count, inner, columns])),
  );
  const values = (await product.data()) as Float32Array;
  product.dispose();
  return values;
};

function activate(answers: tf.Tensor, activation: NonNullable<EngineModel['tfjs']>['activation']): tf.Tensor {
  switch (activation) {
    case 'softmax':
    case 'sigmoid':
      // The model's last layer already is one.
      return answers.toFloat();
    case 'logits':
      return answers.softmax();
    case 'logits-sigmoid':
      return answers.sigmoid();
    default:
      return activation satisfies never;
  }
}

async function loadPredictor({ path, outputName }: NonNullable<EngineModel['tfjs']>): Promise<Predictor> {
  const json = await readModelJson(path);
  const handler = { load: () => readArtifacts(json, path) };
  if (isGraphModel(json)) return loadGraphModel(handler, findOutput(json, outputName));
  const names = nameOutputs(parseTopology(json.modelTopology));
  const at = outputName === undefined ? 0 : names.indexOf(outputName);
  if (at < 0) throw new Error(`there is no output ${outputName}, but ${names.join(', ')}`);
  return loadLayersModel(handler, at);
}

/**
 * How many numbers a model returns per image, found by running it on a gray one.
 * @throws if tfjs' current backend cannot run it
 */
export async function countAnswers(
  tfjs: NonNullable<EngineModel['tfjs']>,
  input: EngineModel['input'],
): Promise<number> {
  const predictor = await loadPredictor(tfjs);
  const batch = predictor.fixedBatch ?? 1;
  const images = tf.fill([batch, input.height, input.width, input.channels], 0.5) as tf.Tensor4D;
  const { answers } = await predictor.predict(images, false);
  const count = answers.size / batch;
  tf.dispose([images, answers]);
  return count;
}

async function readArtifacts(json: ModelJson, path: string): Promise<tf.io.ModelArtifacts> {
  const isGraph = isGraphModel(json);
  if (!isGraph) requireFaithful(json.modelTopology);
  if (!isGraph && isKeras3(json.modelTopology)) {
    return toKeras2(json.modelTopology, await readWeights(json, dirname(path)));
  }
  const { weightsManifest, ...modelJson } = json;
  // Old converters write the tensor's name, which tfjs does not accept as the layer's weight.
  const toWeightName = (name: string) => (isGraph ? name : name.replace(/:0$/, ''));
  const weights = weightsManifest.flatMap((group) =>
    group.weights.map((weight) => ({ ...weight, name: toWeightName(weight.name) })),
  );
  const shards = weightsManifest.flatMap((group) => group.paths);
  const bytes = Buffer.concat(await Promise.all(shards.map((shard) => readFile(join(dirname(path), shard)))));
  const expected = weights.reduce((sum, weight) => sum + storedBytes(weight), 0);
  if (bytes.length !== expected) throw new Error(`the weights have ${bytes.length} bytes, not ${expected}`);
  return {
    ...(modelJson as object),
    modelTopology: modelJson.modelTopology,
    weightSpecs: weights as tf.io.WeightsManifestEntry[],
    weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
  };
}

async function loadLayersModel(handler: tf.io.IOHandler, at: number): Promise<Predictor> {
  const model = await tf.loadLayersModel(handler);
  const output = model.outputs[at]!;
  const pooling = model.layers.findLast((layer) => layer.getClassName() === 'GlobalAveragePooling2D');
  const withFeatures =
    pooling && !Array.isArray(pooling.input) && model.layers.at(-1)?.getClassName() !== 'Sequential'
      ? tryModel(() => tf.model({ inputs: model.inputs, outputs: [output, pooling.input as tf.SymbolicTensor] }))
      : undefined;
  return {
    fixedBatch: fixedBatchOf(model.inputs[0]?.shape),
    hasFeatures: withFeatures !== undefined,
    async predict(images, wantFeatures) {
      if (wantFeatures && withFeatures) {
        const [answers, features] = withFeatures.predict(images) as [tf.Tensor, tf.Tensor4D];
        return { answers, features };
      }
      const answers = model.predict(images) as tf.Tensor | tf.Tensor[];
      return { answers: keepOutput(answers, at) };
    },
  };
}

/** The tensor behind an output's name in the signature; undefined for the first one. */
function findOutput(json: ModelJson, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const found = parseGraph(json.modelTopology, signatureOf(json)).outputs.find((output) => output.name === name);
  if (!found) throw new Error(`there is no output ${name}`);
  return `${found.ref.node}:${found.ref.output}`;
}

async function loadGraphModel(handler: tf.io.IOHandler, output: string | undefined): Promise<Predictor> {
  const model = await tf.loadGraphModel(handler);
  let needsAsync = false;
  return {
    fixedBatch: fixedBatchOf(model.inputs[0]?.shape ?? []),
    hasFeatures: false,
    async predict(images) {
      if (!needsAsync) {
        try {
          const answers = output === undefined ? model.predict(images) : model.execute(images, output);
          return { answers: keepFirst(answers as tf.Tensor | tf.Tensor[] | tf.NamedTensorMap) };
        } catch (error) {
          // A graph with control flow fails at its first run.
          if (!/executeAsync/.test((error as Error).message)) throw error;
          needsAsync = true;
        }
      }
      return { answers: keepFirst(await model.executeAsync(images, output)) };
    },
  };
}

/** A graph's named outputs, or several: the first is the classifier's answer, the others are freed. */
function keepFirst(answers: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap): tf.Tensor {
  return keepOutput(answers, 0);
}

/** The output at that index; the others are freed. */
function keepOutput(answers: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap, at: number): tf.Tensor {
  if (answers instanceof tf.Tensor) return answers;
  const all = Array.isArray(answers) ? [...answers] : Object.values(answers);
  const [kept] = all.splice(at, 1);
  tf.dispose(all);
  return kept!;
}

function fixedBatchOf(shape: readonly (number | null)[] | undefined): number | undefined {
  const batch = shape?.[0];
  return typeof batch === 'number' && batch > 0 ? batch : undefined;
}

function tryModel<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
