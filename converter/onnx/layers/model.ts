import { ModelError, UnsupportedOpError } from '../../errors.ts';
import { firstCalls, type Layer, type LayersModel, type TensorRef } from '../../tfjs/topology.ts';
import type { Weight } from '../../tfjs/weights.ts';
import type { GraphBuilder, Value } from '../builder.ts';
import type { Tensor } from '../graph.ts';
import { ACTIVATION_LAYERS } from './activation.ts';
import { BASIC_LAYERS } from './basic.ts';
import { LayerConfig } from './config.ts';
import { CONVOLUTION_LAYERS } from './convolution.ts';
import { MERGE_LAYERS } from './merge.ts';
import { NORMALIZATION_LAYERS } from './normalization.ts';
import { POOLING_LAYERS } from './pooling.ts';
import type { LayerConverter } from './registry.ts';
import { SHAPE_LAYERS } from './shape.ts';
import { namesOf, WeightIndex } from './weights.ts';

/** Every layer class that the converter covers. */
const LAYERS: Record<string, LayerConverter> = {
  ...ACTIVATION_LAYERS,
  ...BASIC_LAYERS,
  ...CONVOLUTION_LAYERS,
  ...MERGE_LAYERS,
  ...NORMALIZATION_LAYERS,
  ...POOLING_LAYERS,
  ...SHAPE_LAYERS,
};

/**
 * Writes a layers model's nodes.
 * @returns the model's outputs
 * @throws UnsupportedOpError naming the layer class that is not covered
 */
export function convertLayers(
  builder: GraphBuilder,
  model: LayersModel,
  weights: Map<string, Weight>,
  inputs: readonly Value[],
): Value[] {
  return convertModel(builder, model, new WeightIndex(weights), inputs, []);
}

const keyOf = (ref: TensorRef): string => `${ref.call}:${ref.output}:${ref.layer}`;

function convertModel(
  builder: GraphBuilder,
  model: LayersModel,
  weights: WeightIndex,
  inputs: readonly Value[],
  scope: readonly string[],
): Value[] {
  const values = new Map<string, Value>();
  model.inputs.forEach((ref, i) => {
    const value = inputs[i];
    if (!value) throw new ModelError('TOPOLOGY_INVALID', `model ${model.name} has ${model.inputs.length} inputs`);
    values.set(keyOf(ref), value);
  });
  const firstCall = firstCalls(model);
  let waiting = model.layers.flatMap((layer) =>
    layer.calls.map((refs, i) => ({ layer, refs, call: i + (firstCall.get(layer.name) ?? 0) })),
  );
  while (waiting.length > 0) {
    const later = waiting.filter(({ layer, refs, call }) => {
      const arguments_ = refs.map((ref) => values.get(keyOf(ref)));
      if (!arguments_.every((value) => value !== undefined)) return true;
      const results = convertLayer(builder, layer, weights, arguments_, scope);
      results.forEach((value, output) => {
        values.set(keyOf({ layer: layer.name, call, output }), value);
      });
      return false;
    });
    if (later.length === waiting.length) {
      throw new ModelError('TOPOLOGY_INVALID', `model ${model.name}: layer ${later[0]?.layer.name} has no input`);
    }
    waiting = later;
  }
  return model.outputs.map((ref) => {
    const value = values.get(keyOf(ref));
    if (!value) throw new ModelError('TOPOLOGY_INVALID', `model ${model.name}: output ${ref.layer} is not computed`);
    return value;
  });
}

function convertLayer(
  builder: GraphBuilder,
  layer: Layer,
  weights: WeightIndex,
  inputs: Value[],
  scope: readonly string[],
): Value[] {
  if (layer.model) return convertModel(builder, layer.model, weights, inputs, [...scope, layer.name]);
  const convert = LAYERS[layer.className];
  if (!convert || !Object.hasOwn(LAYERS, layer.className)) {
    throw new UnsupportedOpError(layer.className, `layer ${layer.name}`);
  }
  const config = new LayerConfig(layer.name, layer.config);
  const weight = (name: string): Tensor => {
    const found = weights.find(scope, layer.name, namesOf(layer.className, name, config));
    if (!found) throw new ModelError('WEIGHTS_INVALID', `weight ${layer.name}/${name} is missing`);
    return found;
  };
  return [convert({ builder, className: layer.className, config, inputs, weight })];
}
