/** Keras layers in tfjs: a model may have half a gigabyte of weights, which are in memory once. */
import { dirname } from 'node:path';
import {
  isKeras3,
  requireFaithful,
  toKeras2,
  withoutInitialValues,
} from '@inferql/converter/tfjs/keras-models-on-tfjs';
import type { ModelJson } from '@inferql/converter/tfjs/manifest';
import { type StoredWeight, streamStoredWeights } from '@inferql/converter/tfjs/weights';
import * as tf from '@tensorflow/tfjs';

/** Weights that are given to tfjs at once: each time it looks through all of its layers. */
const PART_BYTES = 2 ** 24;

/**
 * Loads a layers model of Keras 2, Keras 3 or tfjs on the current backend.
 * @throws if tfjs would answer otherwise than Keras, or weights are missing, too many or of other shapes
 */
export async function openLayersModel(json: ModelJson, path: string): Promise<tf.LayersModel> {
  requireFaithful(json.modelTopology);
  const specs = json.weightsManifest.flatMap(({ weights }) => weights);
  const { modelTopology, names } = isKeras3(json.modelTopology)
    ? toKeras2(json.modelTopology, specs)
    : { modelTopology: withoutInitialValues(json.modelTopology) as object, names: undefined };
  const model = await buildWithoutWeights(modelTopology);
  const { weights } = model;
  const before = weights.map((weight) => weight.read().dataId);
  let known = 0;
  let part: { name: string; stored: StoredWeight }[] = [];
  let bytes = 0;
  const assign = () => {
    setWeights(model, part);
    part = [];
    bytes = 0;
  };
  for await (const stored of streamStoredWeights(json, dirname(path))) {
    const { spec } = stored;
    if (spec.group === 'optimizer') continue;
    // Old converters write the tensor's name, which tfjs does not accept as the layer's weight.
    for (const name of names ? (names.get(spec.name) ?? []) : [spec.name.replace(/:0$/, '')]) {
      part.push({ name, stored });
      known++;
    }
    bytes += stored.bytes.byteLength;
    if (bytes >= PART_BYTES) assign();
  }
  assign();
  const unset = weights.filter((weight, i) => weight.read().dataId === before[i]);
  if (unset.length > 0) {
    const list = unset.map(({ originalName }) => originalName).join(', ');
    throw new Error(`${unset.length} of ${weights.length} weights are not set: ${list}`);
  }
  if (known !== weights.length) throw new Error(`the file has ${known} weights, the layers ${weights.length}`);
  return model;
}

/** The layers with zeros for weights. In plain JavaScript these take no memory, since nobody writes or reads them. */
async function buildWithoutWeights(modelTopology: object): Promise<tf.LayersModel> {
  const backend = tf.getBackend();
  await tf.setBackend('cpu');
  try {
    return await tf.loadLayersModel({ load: async () => ({ modelTopology }) });
  } finally {
    await tf.setBackend(backend);
  }
}

function setWeights(model: tf.LayersModel, part: readonly { name: string; stored: StoredWeight }[]): void {
  tf.tidy(() => {
    const tensors = part.map(({ name, stored }) => [name, decode(stored)] as const);
    // Whether all of them are there is known at the end only.
    model.loadWeights(Object.fromEntries(tensors), false);
  });
  // Other backends keep what they are given, or copy it later.
  if (tf.getBackend() === 'wasm') for (const bytes of new Set(part.map(({ stored }) => stored.bytes))) free(bytes);
}

/** Gives memory back now: a collection may not come before the next copy of a large weight is made. The buffer is empty afterwards. */
function free(buffer: ArrayBuffer): void {
  const { port1 } = new MessageChannel();
  port1.close();
  // A closed port drops what it is given.
  port1.postMessage(null, [buffer]);
}

function decode({ spec, bytes }: StoredWeight): tf.Tensor {
  // Most are floats, which need no other copy.
  if (spec.dtype === 'float32' && !spec.quantization) return tf.tensor(new Float32Array(bytes), spec.shape);
  return tf.io.decodeWeights(bytes, [spec as tf.io.WeightsManifestEntry])[spec.name]!.toFloat();
}
