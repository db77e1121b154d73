/** Small classifiers in the formats that tfjs files come in, for whatever reads or runs them. */
import * as tf from '@tensorflow/tfjs';
import type { TestModel } from './harness.fixture.ts';

interface LayerJson {
  class_name: string;
  name?: string;
  config: Record<string, unknown>;
  inbound_nodes?: [string, number, number][][];
}

interface Saved {
  modelTopology: { class_name: string; config: { layers: LayerJson[] } };
  weightsManifest: { weights: { name: string; shape: number[]; dtype: string; quantization?: object }[] }[];
}

/** Quantizes every float weight as the converter's --quantize options do. */
export function quantizeWeights(saved: TestModel, dtype: 'uint8' | 'uint16' | 'float16'): TestModel {
  const json = structuredClone(saved.modelJson) as Saved;
  const shards: Uint8Array[] = [];
  let offset = 0;
  for (const weight of json.weightsManifest[0]!.weights) {
    const bytes = tf.util.sizeFromShape(weight.shape) * 4;
    const stored = saved.weightData.slice(offset, offset + bytes);
    offset += bytes;
    if (weight.dtype !== 'float32') {
      shards.push(new Uint8Array(stored));
      continue;
    }
    const part = new Float32Array(stored);
    if (dtype === 'float16') {
      shards.push(new Uint8Array(Uint16Array.from(part, toHalf).buffer));
      weight.quantization = { dtype, original_dtype: 'float32' };
      continue;
    }
    const levels = dtype === 'uint8' ? 255 : 65_535;
    const min = Math.min(...part);
    const scale = (Math.max(...part) - min) / levels || 1;
    const codes = Array.from(part, (value) => Math.round((value - min) / scale));
    shards.push(new Uint8Array((dtype === 'uint8' ? Uint8Array.from(codes) : Uint16Array.from(codes)).buffer));
    weight.quantization = { dtype, min, scale, original_dtype: 'float32' };
  }
  return { modelJson: json, weightData: new Uint8Array(Buffer.concat(shards)).buffer };
}

/** Truncates to half precision; enough for a test. */
function toHalf(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  const exponent = ((bits >> 23) & 0xff) - 112;
  const sign = (bits >> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >> 13) & 0x3ff);
}

/** A sequential model as Keras 2.1 wrote it: `model_config`, a list of layers, weights with ":0". */
export function toKeras21(saved: TestModel): TestModel {
  const json = structuredClone(saved.modelJson) as Saved;
  const { layers } = json.modelTopology.config;
  for (const weight of json.weightsManifest[0]!.weights) weight.name += ':0';
  const modelTopology = { keras_version: '2.1.6', model_config: { class_name: 'Sequential', config: layers } };
  return { ...saved, modelJson: { ...json, modelTopology } };
}

const policy = { class_name: 'DTypePolicy', config: { name: 'float32' } };
const toModern = (layer: LayerJson): LayerJson => ({ ...layer, config: { ...layer.config, dtype: policy } });

/** A sequential model as Keras 3 writes it: as a functional one, tensors as objects, `batch_shape`, numbered weights. */
export function toKeras3(saved: TestModel, shape: readonly number[]): TestModel {
  const json = structuredClone(saved.modelJson) as Saved;
  const { layers } = json.modelTopology.config;
  const names = layers.map((layer) => layer.config.name as string);
  const tensor = (name: string) => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } });
  const modern = layers.map((layer, i) => ({
    module: 'keras.layers',
    registered_name: null,
    ...toModern(layer),
    name: names[i],
    inbound_nodes: [{ args: [tensor(i === 0 ? 'image' : names[i - 1]!)], kwargs: {} }],
  }));
  const image = {
    module: 'keras.layers',
    class_name: 'InputLayer',
    name: 'image',
    config: { batch_shape: [null, ...shape], dtype: 'float32', sparse: false, name: 'image' },
    inbound_nodes: [],
  };
  const config = {
    name: 'functional',
    trainable: true,
    layers: [image, ...modern],
    input_layers: [['image', 0, 0]],
    output_layers: [names.at(-1), 0, 0],
  };
  const modelTopology = { keras_version: '3.4.1', model_config: { class_name: 'Functional', config } };
  numberWeights(json);
  return { ...saved, modelJson: { ...json, modelTopology } };
}

/** A sequential model as Keras 3 writes it, its weights as in an .h5 file, which names the whole path. */
export function toKeras3Sequential(saved: TestModel, shape: readonly number[]): TestModel {
  const json = structuredClone(saved.modelJson) as Saved;
  const modelTopology = { keras_version: '3.4.1', model_config: toModernChain(json.modelTopology, shape) };
  for (const weight of json.weightsManifest[0]!.weights) weight.name = `sequential/${weight.name}`;
  return { ...saved, modelJson: { ...json, modelTopology } };
}

/** A functional model whose layers may be sequential models, as Keras 3 writes it. */
export function toKeras3Nested(saved: TestModel, shape: readonly number[]): TestModel {
  const json = structuredClone(saved.modelJson) as Saved;
  const tensor = ([name, , output]: [string, number, number]) => ({
    class_name: '__keras_tensor__',
    config: { keras_history: [name, 0, output] },
  });
  const layers = json.modelTopology.config.layers.map((layer) => {
    if (layer.class_name === 'InputLayer') return { ...layer, config: { batch_shape: [null, ...shape] } };
    const isModel = layer.class_name === 'Sequential';
    const modern = isModel ? toModernChain(layer as unknown as Saved['modelTopology'], shape) : toModern(layer);
    const nodes = (layer.inbound_nodes ?? []).map((node) => ({ args: node.map(tensor), kwargs: {} }));
    return { ...layer, ...modern, inbound_nodes: nodes };
  });
  const config = { ...json.modelTopology.config, layers };
  const modelTopology = { keras_version: '3.4.1', model_config: { class_name: 'Functional', config } };
  return { ...saved, modelJson: { ...json, modelTopology } };
}

function toModernChain({ class_name, config }: Saved['modelTopology'], shape: readonly number[]) {
  const layers = config.layers.map((layer) => {
    const { batch_input_shape: _, ...rest } = layer.config;
    return { module: 'keras.layers', registered_name: null, ...toModern({ ...layer, config: rest }) };
  });
  const image = {
    module: 'keras.layers',
    class_name: 'InputLayer',
    config: { batch_shape: [null, ...shape], dtype: 'float32', sparse: false, name: 'image' },
  };
  return { class_name, config: { ...config, trainable: true, dtype: policy, layers: [image, ...layers] } };
}

const WEIGHT_ORDER = ['kernel', 'gamma', 'alpha', 'pointwise_kernel', 'beta', 'bias', 'moving_mean', 'moving_variance'];

/** As in a .keras file: a layer's weights have numbers instead of names. */
function numberWeights(json: Saved): void {
  const { weights } = json.weightsManifest[0]!;
  const split = weights.map(({ name }) => {
    const at = name.lastIndexOf('/');
    return { layer: name.slice(0, at), place: WEIGHT_ORDER.indexOf(name.slice(at + 1).replace('depthwise_', '')) };
  });
  weights.forEach((weight, i) => {
    const { layer, place } = split[i]!;
    weight.name = `${layer}/${split.filter((other) => other.layer === layer && other.place < place).length}`;
  });
}
