/** tfjs reads models of Keras 2. This translates layers models of Keras 3 for it. */

import { ModelError } from '../errors.ts';
import { LayerConfig } from '../onnx-writer/keras-layers/config.ts';
import { namesOf, orderOf, WeightIndex } from '../onnx-writer/keras-layers/weights.ts';
import { type Call, type Dialect, isOff, type TensorRef, tensorsOf } from './call-arguments.ts';
import { isGraphModel, type ModelJson } from './manifest.ts';
import { dialectOf, firstCalls, type Layer, type LayersModel, parseTopology } from './topology.ts';

/** What tfjs' loader takes, and which weight of the file is which of tfjs'. */
export interface Keras2Artifacts {
  modelTopology: object;
  names: ReadonlyMap<string, readonly string[]>;
}

/** Whether Keras 3 wrote a topology, so that tfjs cannot read it as it is. */
export function isKeras3(modelTopology: Record<string, unknown>): boolean {
  return dialectOf(modelTopology) === 'keras3';
}

/**
 * Whether tfjs may run a model that the converter does not understand. tfjs knows what it has written itself, and the ops of
 * a graph; of a Keras model it skips what it does not know.
 */
export function mayRunOnTfjs(modelJson: ModelJson): boolean {
  return isGraphModel(modelJson) || dialectOf(modelJson.modelTopology) === 'tfjs';
}

/**
 * tfjs leaves out what it does not know, and computes some layers differently from Keras.
 * @throws ModelError UNSUPPORTED_OP for a layers model that tfjs would answer wrongly
 */
export function requireFaithful(modelTopology: Record<string, unknown>): void {
  const dialect = dialectOf(modelTopology);
  if (dialect === 'tfjs') return;
  const visit = (model: LayersModel): void => {
    for (const layer of model.layers) {
      const reason = whyUnfaithful(layer, dialect === 'keras3');
      if (reason) {
        throw new ModelError('UNSUPPORTED_OP', `tfjs ${reason}: layer ${layer.name} (${layer.className})`);
      }
      if (layer.model) visit(layer.model);
    }
  };
  visit(parseTopology(modelTopology));
}

function whyUnfaithful({ className, module, config, calls }: Layer, isThree: boolean): string | undefined {
  const { activation, dilation_rate: dilation = 1 } = config;
  if (module !== undefined && /\bops\b/.test(module)) return 'has no operations';
  if (className === 'Resizing') return 'aligns corners';
  if (className === 'UpSampling2D' && config.interpolation === 'bilinear') return 'counts pixels from their corners';
  if (config.keepdims) return 'drops dimensions';
  const isDilated = [dilation].flat().some((rate) => rate !== 1);
  if (className === 'DepthwiseConv2D' && isDilated) return 'does not dilate it';
  if (className === 'ReLU' && (config.threshold || config.negative_slope)) return 'knows a maximum only';
  if (className === 'LeakyReLU' && config.negative_slope !== undefined) return 'knows its slope by another name';
  if (typeof activation === 'object' && activation !== null) return 'does not know an activation with a configuration';
  if (isThree && activation === 'hard_sigmoid') return 'has another hard_sigmoid';
  if (Array.isArray(config.scale) || Array.isArray(config.offset)) return 'takes one number only';
  if (calls.some((call) => !hasTensorsOnly(call, isThree ? 'keras3' : 'keras2'))) return 'takes tensors only';
  return undefined;
}

function hasTensorsOnly(call: Call, dialect: Dialect): boolean {
  const [first, ...others] = call.args;
  const items = first && 'list' in first ? first.list : call.args;
  return (
    others.length === 0 &&
    items.every((item) => 'tensor' in item) &&
    [...call.kwargs].every(([name, argument]) => isOff(name, argument, dialect))
  );
}

/**
 * The same model as a functional one of Keras 2.
 * @param weights names and shapes of its weights
 * @returns the topology, and for each weight that it has the names that tfjs gives it
 * @throws ModelError TOPOLOGY_INVALID
 */
export function toKeras2(
  modelTopology: Record<string, unknown>,
  weights: Iterable<{ name: string; shape: number[] }>,
): Keras2Artifacts {
  const model = parseTopology(modelTopology);
  const index = new WeightIndex(weights);
  const names = new Map<string, string[]>();
  nameWeights(model, index, [], (stored, name) => names.set(stored, [...(names.get(stored) ?? []), name]));
  return { modelTopology: describeModel(model), names };
}

function describeModel(model: LayersModel): { class_name: string; config: object } {
  const { name, layers, inputs, outputs } = model;
  const firstCall = firstCalls(model);
  const nested = new Set(layers.flatMap((layer) => (layer.model ? [layer.name] : [])));
  const toList = (refs: readonly TensorRef[]) =>
    refs.map(({ layer, call, output }) => {
      // To tfjs a nested model's own making is its call 0.
      const place = call - (firstCall.get(layer) ?? 0) + (nested.has(layer) ? 1 : 0);
      return [layer, place, output];
    });
  const described = layers.map((layer) => ({
    ...(layer.model
      ? describeModel({ ...layer.model, name: layer.name })
      : { class_name: layer.className, config: { ...describeConfig(layer.config), name: layer.name } }),
    name: layer.name,
    inbound_nodes: layer.calls.map((call) => toList(tensorsOf(call)).map((ref) => [...ref, {}])),
  }));
  const config = { name, layers: described, input_layers: toList(inputs), output_layers: toList(outputs) };
  return { class_name: 'Model', config };
}

/** What training needs is left out. Weights are read over, so random ones need not be drawn before. */
function describeConfig(config: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(config).filter(([field]) => !/_(regularizer|constraint)$/.test(field));
  const described = withoutInitialValues(Object.fromEntries(kept)) as Record<string, unknown>;
  const { batch_shape, dtype } = described;
  if (batch_shape !== undefined) described.batch_input_shape = batch_shape;
  if (typeof dtype === 'object') described.dtype = 'float32';
  return described;
}

/** A topology whose weights are zeros before they are read: tfjs draws random numbers otherwise, which takes longer than reading. */
export function withoutInitialValues(topology: unknown): unknown {
  if (Array.isArray(topology)) return topology.map(withoutInitialValues);
  if (typeof topology !== 'object' || topology === null) return topology;
  return Object.fromEntries(
    Object.entries(topology).map(([field, value]) => [
      field,
      field.endsWith('_initializer') && value ? { class_name: 'Zeros', config: {} } : withoutInitialValues(value),
    ]),
  );
}

function nameWeights(
  model: LayersModel,
  index: WeightIndex<{ name: string; shape: number[] }>,
  scope: readonly string[],
  add: (stored: string, name: string) => void,
): void {
  for (const { name, className, config, model: inner } of model.layers) {
    if (inner) {
      nameWeights(inner, index, [...scope, name], add);
      continue;
    }
    const fields = new LayerConfig(name, config);
    for (const weight of orderOf(className, fields)) {
      const found = index.find(scope, name, namesOf(className, weight, fields));
      if (found) add(found.name, `${name}/${weight}`);
    }
  }
}
