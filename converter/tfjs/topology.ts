import { z } from 'zod';
import { ModelError } from '../errors.ts';

/** A tensor of a layers model: which layer made it, in which of its calls, and which of its outputs it is. */
export interface TensorRef {
  layer: string;
  call: number;
  output: number;
}

export interface Layer {
  name: string;
  className: string;
  config: Record<string, unknown>;
  /** The inputs of each call of the layer; a shared layer has several calls. */
  calls: TensorRef[][];
  /** What the layer is made of, where it is a model itself. */
  model?: LayersModel;
}

/** A layers model: functional and sequential ones look alike from here on. */
export interface LayersModel {
  name: string;
  layers: Layer[];
  inputs: TensorRef[];
  outputs: TensorRef[];
}

/** The largest known classifiers have some 1,500. */
const MAX_LAYERS = 10_000;

const layerJson = z.looseObject({
  class_name: z.string(),
  name: z.string().optional(),
  config: z.looseObject({ name: z.string().optional() }),
  inbound_nodes: z.array(z.unknown()).optional(),
});

const modelConfig = z.looseObject({
  class_name: z.string(),
  config: z.union([
    z.array(layerJson).max(MAX_LAYERS),
    z.looseObject({ name: z.string().optional(), layers: z.array(layerJson).max(MAX_LAYERS) }),
  ]),
});

const MODEL_CLASSES = new Set(['Model', 'Functional', 'Sequential']);
const MAX_NESTING = 16;

/**
 * Reads the topology of a layers model as converters of Keras 1, 2 and 3 and tfjs itself write it.
 * @throws ModelError TOPOLOGY_INVALID
 */
export function parseTopology(modelTopology: Record<string, unknown>): LayersModel {
  const raw = modelTopology.model_config ?? modelTopology;
  return parseModel(typeof raw === 'string' ? parseText(raw) : raw, 0);
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelError('TOPOLOGY_INVALID', 'model_config is not JSON', { cause });
  }
}

function parseModel(raw: unknown, depth: number): LayersModel {
  if (depth > MAX_NESTING) throw new ModelError('TOPOLOGY_INVALID', 'models are nested too deeply');
  const parsed = modelConfig.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ModelError(
      'TOPOLOGY_INVALID',
      `modelTopology is not a layers model: ${issue?.path.join('.')}: ${issue?.message}`,
    );
  }
  const { class_name, config } = parsed.data;
  if (!MODEL_CLASSES.has(class_name)) {
    throw new ModelError('TOPOLOGY_INVALID', `expected a Model, Functional or Sequential, found ${class_name}`);
  }
  const entries = Array.isArray(config) ? config : config.layers;
  const layers = entries.map((entry): Layer => {
    const name = entry.name ?? entry.config.name;
    if (!name) throw new ModelError('TOPOLOGY_INVALID', `a ${entry.class_name} layer has no name`);
    const layer: Layer = { name, className: entry.class_name, config: entry.config, calls: [] };
    if (MODEL_CLASSES.has(entry.class_name)) layer.model = parseModel(entry, depth + 1);
    for (const node of entry.inbound_nodes ?? []) layer.calls.push(parseCall(node, name));
    return layer;
  });
  const name = (Array.isArray(config) ? undefined : config.name) ?? class_name;
  if (class_name === 'Sequential') return { name, ...chain(layers) };
  const ends = config as Record<string, unknown>;
  return {
    name,
    layers,
    inputs: parseRefs(ends.input_layers, name),
    outputs: parseRefs(ends.output_layers, name),
  };
}

/** A sequential model as a functional one. Its input layer is left out of old files. */
function chain(layers: Layer[]): Pick<LayersModel, 'layers' | 'inputs' | 'outputs'> {
  const [first] = layers;
  if (!first) throw new ModelError('TOPOLOGY_INVALID', 'a sequential model without layers');
  const all = [...layers];
  if (first.className !== 'InputLayer') {
    const shape = first.config.batch_input_shape ?? first.config.batch_shape ?? firstInputShape(first.model);
    all.unshift({
      name: `${first.name}:input`,
      className: 'InputLayer',
      config: { batch_input_shape: shape },
      calls: [],
    });
  }
  const refs = all.map((layer): TensorRef => ({ layer: layer.name, call: 0, output: 0 }));
  all.forEach((layer, i) => {
    const before = refs[i - 1];
    layer.calls = before ? [[before]] : [];
  });
  return { layers: all, inputs: refs.slice(0, 1), outputs: refs.slice(-1) };
}

function firstInputShape(model: LayersModel | undefined): unknown {
  const input = model?.layers.find((layer) => layer.name === model.inputs[0]?.layer);
  return input?.config.batch_input_shape ?? input?.config.batch_shape;
}

function isRef(value: unknown): value is [string, number, number] {
  return (
    Array.isArray(value) && typeof value[0] === 'string' && Number.isInteger(value[1]) && Number.isInteger(value[2])
  );
}

function toRef([layer, call, output]: [string, number, number]): TensorRef {
  return { layer, call, output };
}

/** One call's inputs: Keras 2 lists [layer, call, output, arguments]; Keras 3 wraps each tensor in an object. */
function parseCall(node: unknown, layer: string): TensorRef[] {
  const refs: TensorRef[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (depth > 8) throw new ModelError('TOPOLOGY_INVALID', `layer ${layer}: inbound_nodes are nested too deeply`);
    if (isRef(value)) refs.push(toRef(value));
    else if (Array.isArray(value)) for (const item of value) visit(item, depth + 1);
    else if (typeof value === 'object' && value !== null) {
      const history = (value as { config?: { keras_history?: unknown } }).config?.keras_history;
      if (isRef(history)) refs.push(toRef(history));
      else visit((value as { args?: unknown }).args, depth + 1);
    }
  };
  visit(node, 0);
  return refs;
}

/** input_layers and output_layers: a list of references, or one reference alone. */
function parseRefs(value: unknown, model: string): TensorRef[] {
  const refs = isRef(value) ? [value] : value;
  if (!Array.isArray(refs) || refs.length === 0 || !refs.every(isRef)) {
    throw new ModelError('TOPOLOGY_INVALID', `model ${model}: input_layers and output_layers must name tensors`);
  }
  return refs.map(toRef);
}

/**
 * The number of each layer's first call, as the references to it count. For a nested model some converters count the
 * model's own making as call 0, which is not among its calls.
 */
export function firstCalls(model: LayersModel): Map<string, number> {
  const first = new Map<string, number>();
  for (const ref of [...model.outputs, ...model.layers.flatMap((layer) => layer.calls.flat())]) {
    first.set(ref.layer, Math.min(first.get(ref.layer) ?? ref.call, ref.call));
  }
  return first;
}
