/** tfjs reads what Keras 2 writes. A layers model of Keras 3 is told to it in those words. */
import { LayerConfig } from '../onnx/layers/config.ts';
import { namesOf, orderOf, WeightIndex } from '../onnx/layers/weights.ts';
import { firstCalls, type LayersModel, parseTopology } from './topology.ts';
import type { Weight } from './weights.ts';

/** What tfjs' loader takes. */
export interface Keras2Artifacts {
  modelTopology: object;
  weightSpecs: { name: string; shape: number[]; dtype: 'float32' }[];
  weightData: ArrayBuffer;
}

/** What only Keras 3 writes: shapes of input layers under another name, and tensors as objects. */
export function isKeras3(modelTopology: object): boolean {
  return /"batch_shape"|"keras_history"/.test(JSON.stringify(modelTopology));
}

/**
 * The same model as a functional one of Keras 2; its weights under the names that tfjs gives them.
 * @throws ModelError TOPOLOGY_INVALID
 */
export function toKeras2(modelTopology: Record<string, unknown>, weights: Map<string, Weight>): Keras2Artifacts {
  const model = parseTopology(modelTopology);
  const named = nameWeights(model, new WeightIndex(weights), []);
  const bytes = Buffer.concat(named.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
  return {
    modelTopology: describeModel(model),
    weightSpecs: named.map(({ name, shape }) => ({ name, shape, dtype: 'float32' })),
    weightData: new Uint8Array(bytes).buffer,
  };
}

function describeModel(model: LayersModel): { class_name: string; config: object } {
  const { name, layers, inputs, outputs } = model;
  const firstCall = firstCalls(model);
  const nested = new Set(layers.flatMap((layer) => (layer.model ? [layer.name] : [])));
  const toList = (refs: LayersModel['inputs']) =>
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
    inbound_nodes: layer.calls.map((call) => toList(call).map((ref) => [...ref, {}])),
  }));
  const config = { name, layers: described, input_layers: toList(inputs), output_layers: toList(outputs) };
  return { class_name: 'Model', config };
}

/** What training needs is left out: initialisers have got new names, too. */
function describeConfig(config: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(config).filter(([field]) => !/_(initializer|regularizer|constraint)$/.test(field));
  const described = Object.fromEntries(kept);
  const { batch_shape, dtype } = described;
  if (batch_shape !== undefined) described.batch_input_shape = batch_shape;
  if (typeof dtype === 'object') described.dtype = 'float32';
  return described;
}

function nameWeights(model: LayersModel, index: WeightIndex, scope: readonly string[]) {
  const named: { name: string; shape: number[]; data: Float32Array }[] = [];
  for (const { name, className, config, model: inner } of model.layers) {
    if (inner) {
      named.push(...nameWeights(inner, index, [...scope, name]));
      continue;
    }
    const fields = new LayerConfig(name, config);
    for (const weight of orderOf(className, fields)) {
      const found = index.find(scope, name, namesOf(className, weight, fields));
      if (!found) continue;
      named.push({ name: `${name}/${weight}`, shape: [...found.shape], data: found.data as Float32Array });
    }
  }
  return named;
}
