import { ModelError, UnsupportedOpError } from '../../errors.ts';
import { ONE_IMAGE } from '../../export-advice.ts';
import { type Argument, type Call, type Dialect, isOff, type TensorRef, tensorsOf } from '../../tfjs/call-arguments.ts';
import { firstCalls, type Layer, type LayersModel } from '../../tfjs/topology.ts';
import type { Weight } from '../../tfjs/weights.ts';
import { BATCH, type Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { attentionArguments, attentionWeight } from './attention.ts';
import { LayerConfig } from './config.ts';
import { LAYERS } from './layer-table.ts';
import { findOperation, toOperands } from './operation-layers.ts';
import { namesOf, toTensor, WeightIndex } from './weights.ts';
import { requireFloats } from './whole-numbers.ts';

/** What stays the same through a whole model. */
interface Conversion {
  builder: GraphBuilder;
  dialect: Dialect;
  weights: WeightIndex;
}

/**
 * Writes a layers model's nodes.
 * @returns the model's outputs
 * @throws UnsupportedOpError naming the layer, and the field or argument, that is not understood
 */
export function convertLayers(
  builder: GraphBuilder,
  model: LayersModel,
  dialect: Dialect,
  weights: Map<string, Weight>,
  inputs: readonly Value[],
): Value[] {
  requireFloats(model, dialect);
  const conversion = { builder, dialect, weights: new WeightIndex(weights.values()) };
  const outputs = convertModel(conversion, model, inputs, []);
  conversion.weights.requireAllUsed();
  return outputs;
}

const keyOf = (ref: TensorRef): string => `${ref.call}:${ref.output}:${ref.layer}`;

function convertModel(
  conversion: Conversion,
  model: LayersModel,
  inputs: readonly Value[],
  scope: readonly string[],
): Value[] {
  const values = new Map<string, Value>();
  if (model.inputs.length !== inputs.length) {
    const found = `model ${model.name} has ${model.inputs.length} inputs`;
    const names = model.inputs.map(({ layer }) => layer).join(', ');
    const isWhole = scope.length === 0;
    const message = isWhole ? `${found} (${names}): ${ONE_IMAGE}` : `${found} and is called with ${inputs.length}`;
    throw new ModelError('TOPOLOGY_INVALID', message);
  }
  model.inputs.forEach((ref, i) => {
    values.set(keyOf(ref), inputs[i] as Value);
  });
  const firstCall = firstCalls(model);
  let waiting = model.layers.flatMap((layer) =>
    layer.calls.map((call, i) => ({ layer, call, place: i + (firstCall.get(layer.name) ?? 0) })),
  );
  while (waiting.length > 0) {
    const later = waiting.filter(({ layer, call, place }) => {
      if (!tensorsOf(call).every((ref) => values.has(keyOf(ref)))) return true;
      const results = convertLayer(conversion, layer, call, values, scope);
      results.forEach((value, output) => {
        values.set(keyOf({ layer: layer.name, call: place, output }), value);
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
  conversion: Conversion,
  layer: Layer,
  call: Call,
  values: ReadonlyMap<string, Value>,
  scope: readonly string[],
): Value[] {
  const { builder, dialect, weights } = conversion;
  if (layer.model) {
    return convertModel(conversion, layer.model, plainInputs(layer, call, values, dialect), [...scope, layer.name]);
  }
  const hasLayer = Object.hasOwn(LAYERS, layer.className);
  const operation = findOperation(layer, call, dialect, hasLayer);
  if (operation) {
    const find = (ref: TensorRef) => inputOf(layer, ref, values);
    const results = [operation(toOperands(builder, layer, call, find, dialect))].flat();
    requireBatch(layer, results);
    return results;
  }
  const convert = hasLayer ? LAYERS[layer.className] : undefined;
  if (!convert) throw new UnsupportedOpError(layer.className, `layer ${layer.name}`);
  const attention = layer.className === 'MultiHeadAttention' ? attentionArguments(call, dialect) : undefined;
  const plain = attention && { args: [{ list: attention }], kwargs: new Map() };
  const inputs = plainInputs(layer, plain ?? call, values, dialect);
  const config = new LayerConfig(layer.name, layer.config);
  const weight = (name: string): Tensor => {
    if (name.includes('/')) return findPart(weights, scope, layer, name);
    const found =
      weights.find(scope, layer.name, namesOf(layer.className, name, config)) ??
      (layer.className === 'Normalization' ? weights.findUnnamed(name) : undefined);
    if (!found) throw missingWeight(layer, name);
    return toTensor(found);
  };
  const ignoreWeight = (name: string): void => {
    weights.find(scope, layer.name, namesOf(layer.className, name, config));
  };
  const result = convert({ builder, className: layer.className, dialect, config, inputs, weight, ignoreWeight });
  config.requireAllRead();
  requireBatch(layer, [result]);
  return [result];
}

/**
 * Broadcasting and joining may put images next to each other, whose answers would then depend on those of others.
 * @throws UnsupportedOpError if the first dimension is not the images, or if another one depends on their number
 */
function requireBatch(layer: Layer, values: readonly Value[]): void {
  for (const { shape } of values) {
    if (shape[0] === BATCH && shape.slice(1).every((size) => size >= 0)) continue;
    throw new UnsupportedOpError(layer.className, `layer ${layer.name}: it would mix the images of a batch`);
  }
}

function missingWeight({ name: layer }: Layer, name: string): ModelError {
  const hint = layer.includes('/')
    ? ": tfjs' converter leaves out the weights of layers with a slash in their name; add the .keras or .h5 file instead"
    : '';
  return new ModelError('WEIGHTS_INVALID', `weight ${layer}/${name} is missing${hint}`);
}

/** A weight of one of the layers that a layer is made of. */
function findPart(weights: WeightIndex, scope: readonly string[], layer: Layer, name: string): Tensor {
  const { parts, names } = attentionWeight(name);
  for (const part of parts) {
    const found = weights.find([...scope, layer.name], part, names);
    if (found) return toTensor(found);
  }
  throw missingWeight(layer, name);
}

/**
 * The tensors that a layer is called with, if it has no other arguments.
 * @throws UnsupportedOpError naming the argument that is not known
 */
function plainInputs(
  layer: Layer,
  { args, kwargs }: Call,
  values: ReadonlyMap<string, Value>,
  dialect: Dialect,
): Value[] {
  for (const [name, argument] of kwargs) if (!isOff(name, argument, dialect)) throw unknownArgument(layer, name);
  const [first, ...others] = args;
  if (!first || others.length > 0) throw unknownArgument(layer, `number ${args.length}`);
  const list: Argument[] = 'list' in first ? first.list : [first];
  return list.map((argument) => {
    if (!('tensor' in argument)) throw unknownArgument(layer, 'that is not a tensor');
    return inputOf(layer, argument.tensor, values);
  });
}

function inputOf(layer: Layer, ref: TensorRef, values: ReadonlyMap<string, Value>): Value {
  const value = values.get(keyOf(ref));
  if (!value) throw new ModelError('TOPOLOGY_INVALID', `layer ${layer.name} has no input`);
  return value;
}

function unknownArgument(layer: Layer, argument: string): UnsupportedOpError {
  return new UnsupportedOpError(layer.className, `layer ${layer.name} is called with an argument ${argument}`);
}
