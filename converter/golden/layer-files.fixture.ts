/** Layers models written field by field, for what tfjs cannot write: other Keras versions, odd fields, odd calls. */
import { createRandom, inputOf, runConverted, type TestModel } from './harness.fixture.ts';

export interface LayerFile {
  class_name: string;
  module?: string;
  /** Of a class that a user has registered, with the package in front. */
  registered_name?: string;
  config?: Record<string, unknown>;
  /** Values of the layer's weights by their name in the file. */
  weights?: Record<string, { shape: number[]; data?: number[] }>;
  /** The entry of `inbound_nodes` for the only call; absent: the layer before is its only input. */
  call?: unknown;
}

export type Version = '2.15.0' | '3.15.1' | 'tfjs-layers 4.22.0';

/** 4 x 3 x 3. */
export const INPUT = { ...inputOf(4, 3, 3), normalization: 'none' as const };

/** A tensor as Keras 3 writes it. */
export const tensor = (layer: string, output = 0) => ({
  class_name: '__keras_tensor__',
  config: { shape: [null, 4, 3, 3], dtype: 'float32', keras_history: [layer, 0, output] },
});

/** A functional model of layers in a row, named `image`, `l0`, `l1`, … */
export function layerFile(version: Version, layers: readonly LayerFile[]): TestModel {
  const isThree = version.startsWith('3');
  const names = ['image', ...layers.map((_, i) => `l${i}`)];
  const random = createRandom(11);
  const specs: { name: string; shape: number[]; dtype: string }[] = [];
  const values: number[] = [];
  const described = layers.map(({ class_name, module, registered_name, config = {}, weights = {}, call }, i) => {
    const before = names[i]!;
    for (const [name, { shape, data }] of Object.entries(weights)) {
      specs.push({ name: `l${i}/${name}`, shape, dtype: 'float32' });
      const size = shape.reduce((a, b) => a * b, 1);
      values.push(...(data ?? Array.from({ length: size }, () => random() - 0.5)));
    }
    const plain = isThree ? { args: [tensor(before)], kwargs: {} } : [[before, 0, 0, {}]];
    const name = `l${i}`;
    const owner = { ...(module && { module }), ...(registered_name && { registered_name }) };
    return { class_name, ...owner, name, config: { ...config, name }, inbound_nodes: [call ?? plain] };
  });
  const shape = { [isThree ? 'batch_shape' : 'batch_input_shape']: [null, 4, 3, 3] };
  const image = { class_name: 'InputLayer', name: 'image', config: { ...shape, name: 'image' }, inbound_nodes: [] };
  const config = {
    name: 'functional',
    layers: [image, ...described],
    input_layers: [['image', 0, 0]],
    output_layers: [[names.at(-1), 0, 0]],
  };
  return {
    modelJson: {
      format: 'layers-model',
      modelTopology: { keras_version: version, model_config: { class_name: 'Functional', config } },
      weightsManifest: [{ paths: ['weights.bin'], weights: specs }],
    },
    weightData: Float32Array.from(values).buffer,
  };
}

/** Pixels of one image: 0, 5, 10, … */
export const PIXELS = Uint8Array.from({ length: 36 }, (_, i) => i * 5);

/** What the converted model answers to PIXELS, flat. */
export async function answer(version: Version, layers: readonly LayerFile[]): Promise<number[]> {
  return [...(await runConverted(layerFile(version, layers), PIXELS, INPUT)).probabilities];
}

/** PIXELS as `Rescaling` makes them: spread around zero, so that every branch of an activation is taken. */
export const CENTERED = { class_name: 'Rescaling', config: { scale: 1 / 25, offset: -3.5 } };
export const centered = [...PIXELS].map((pixel) => pixel / 25 - 3.5);
