/** Shared by the engines tensorflow and wasm: a tfjs model from its folder, run by the current backend. */
import * as tf from '@tensorflow/tfjs';
import { createMapDrawer, type Features, type Multiply } from '../class-activation-maps.ts';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';
import {
  type EngineOutputSpec,
  joinFloats,
  joinOutputArrays,
  type OutputArray,
  type OutputArrays,
} from '../output-arrays.ts';
import { loadPredictor, type Predictor } from './predictor.ts';

interface PredictedPart {
  probabilities: Float32Array;
  outputs: OutputArrays;
  features?: Features;
}

/**
 * Loads the model on tfjs' current backend.
 * @throws EngineLoadError 'unsupported' if there is no tfjs model, 'failed' if tfjs cannot read it
 */
export async function loadTfjsModel(model: EngineModel): Promise<LoadedModel> {
  const { tfjs, input, classCount, outputs: specs = [] } = model;
  if (!tfjs) throw new EngineLoadError('unsupported', 'the model is not a tfjs model');
  let predictor: Predictor;
  try {
    predictor = await loadPredictor(tfjs, { hasLabels: classCount > 0, from: specs.map(({ from }) => from) });
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
    const { answers, named, features } = await predictor.predict(normalized, wantFeatures);
    const probabilities = answers && toProbabilities(answers, count, classCount, tfjs!.activation);
    const channelsFirst = features?.transpose([0, 3, 1, 2]);
    try {
      if (probabilities && probabilities.shape[1] !== classCount) {
        throw new Error(`the model returns ${probabilities.shape[1]} values per image, expected ${classCount}`);
      }
      const outputs: OutputArrays = {};
      for (const [at, spec] of specs.entries()) outputs[spec.name] = await readNamed(named[at]!, spec, count);
      const output: PredictedPart = {
        probabilities: probabilities ? ((await probabilities.data()) as Float32Array) : new Float32Array(0),
        outputs,
      };
      if (!channelsFirst) return output;
      const [, channels, height, width] = channelsFirst.shape as [number, number, number, number];
      return { ...output, features: { values: (await channelsFirst.data()) as Float32Array, channels, height, width } };
    } finally {
      tf.dispose([
        normalized,
        ...(answers ? [answers, probabilities!] : []),
        ...named,
        ...(features ? [features, channelsFirst!] : []),
      ]);
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
      const joined =
        model.outputs &&
        joinOutputArrays(
          specs,
          parts.map(({ outputs }) => outputs),
          count,
        );
      const output = { probabilities, ...(joined && { outputs: joined }) };
      return features && drawMaps ? { ...output, maps: await drawMaps(probabilities, features) } : output;
    },
  };
}

type Activation = NonNullable<EngineModel['tfjs']>['activation'];

/** A row of probabilities per image. One number per image distinguishes two classes. */
function toProbabilities(answers: tf.Tensor, count: number, classCount: number, activation: Activation): tf.Tensor {
  return tf.tidy(() => {
    const values = activate(answers.reshape([count, -1]), activation);
    return values.shape[1] === 1 && classCount === 2 ? tf.concat([tf.sub(1, values), values], 1) : values;
  });
}

async function readNamed(tensor: tf.Tensor, spec: EngineOutputSpec, count: number): Promise<OutputArray> {
  const { name, dtype, elements, activation } = spec;
  const values = activation
    ? toProbabilities(tensor, count, elements, activation)
    : tf.tidy(() => tensor.cast(dtype === 'float32' ? 'float32' : 'int32').clone());
  try {
    if (values.size !== count * elements) {
      throw new Error(`output ${name} has ${values.size / count} values per image, expected ${elements}`);
    }
    const data = await values.data();
    return dtype === 'uint8' ? Uint8Array.from(data) : (data as Float32Array | Int32Array);
  } finally {
    values.dispose();
  }
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
  const output: PredictedPart = { probabilities: joined.subarray(0, count * classCount), outputs: {} };
  const first = parts[0]?.features;
  if (!first) return output;
  const values = joinFloats(parts.map(({ features }) => features!.values));
  const length = count * first.channels * first.height * first.width;
  return { ...output, features: { ...first, values: values.subarray(0, length) } };
}

const multiply: Multiply = async (left, right, { count, rows, inner, columns }) => {
  const product = tf.tidy(() =>
    tf.matMul(tf.tensor3d(left, [count, rows, inner]), tf.tensor3d(right, [count, inner, columns])),
  );
  const values = (await product.data()) as Float32Array;
  product.dispose();
  return values;
};

function activate(answers: tf.Tensor, activation: Activation): tf.Tensor {
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

/**
 * The sizes of what a model returns for one image, found by running it on a gray one.
 * @throws if tfjs' current backend cannot run it
 */
export async function sizesOfAnswer(
  tfjs: NonNullable<EngineModel['tfjs']>,
  input: EngineModel['input'],
): Promise<number[]> {
  const predictor = await loadPredictor(tfjs);
  const batch = predictor.fixedBatch ?? 1;
  const images = tf.fill([batch, input.height, input.width, input.channels], 0.5) as tf.Tensor4D;
  const { answers } = await predictor.predict(images, false);
  const { shape, size } = answers!;
  tf.dispose([images, answers!]);
  return shape[0] === batch ? shape.slice(1) : [size / batch];
}
