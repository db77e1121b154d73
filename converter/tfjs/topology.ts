import * as z from 'zod';
import { ModelError, UnsupportedOpError } from '../errors.ts';
import { type Call, type Dialect, isRef, parseCall, type TensorRef, tensorsOf, toRef } from './call-arguments.ts';

export interface Layer {
  name: string;
  className: string;
  /** Where Keras found the class, if the file says so; operations on tensors are layers of `keras.src.ops`. */
  module: string | undefined;
  config: Record<string, unknown>;
  /** A shared layer has several calls. */
  calls: Call[];
  /** The layer's content, if it is a model. */
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
  module: z.string().nullish(),
  registered_name: z.string().nullish(),
  config: z.looseObject({ name: z.string().optional() }),
  inbound_nodes: z.array(z.unknown()).optional(),
});

const modelConfig = z.looseObject({
  class_name: z.string(),
  module: z.string().nullish(),
  registered_name: z.string().nullish(),
  config: z.union([
    z.array(layerJson).max(MAX_LAYERS),
    z.looseObject({ name: z.string().optional(), layers: z.array(layerJson).max(MAX_LAYERS) }),
  ]),
});

const MODEL_CLASSES = new Set(['Model', 'Functional', 'Sequential']);
const MAX_NESTING = 16;

/** What only Keras 3 writes: shapes of input layers under another name, and tensors as objects. */
const KERAS_3 = /"batch_shape"|"keras_history"/;

/** Who wrote a topology: it says so itself, or its spelling does. */
export function dialectOf(modelTopology: Record<string, unknown>): Dialect {
  const { model_config } = modelTopology;
  const inner = typeof model_config === 'object' && model_config !== null ? model_config : {};
  const version = modelTopology.keras_version ?? (inner as { keras_version?: unknown }).keras_version;
  if (typeof version === 'string') {
    if (version.startsWith('tfjs')) return 'tfjs';
    const major = Number.parseInt(version, 10);
    if (major === 1 || major === 2) return 'keras2';
    if (major === 3) return 'keras3';
    throw new ModelError('TOPOLOGY_INVALID', `keras_version ${version.slice(0, 40)} is not known: 1, 2 and 3 are`);
  }
  return KERAS_3.test(JSON.stringify(modelTopology)) ? 'keras3' : 'keras2';
}

/**
 * Reads the topology of a layers model as converters of Keras 1, 2 and 3 and tfjs write it.
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
    const own = nameOwnModel(raw);
    if (own !== undefined)
      throw new UnsupportedOpError(own, 'it is a subclass of keras.Model, whose code the file lacks');
    throw new ModelError(
      'TOPOLOGY_INVALID',
      `modelTopology is not a layers model: ${issue?.path.join('.')}: ${issue?.message}`,
    );
  }
  const { class_name, config } = parsed.data;
  const maker = ownerOf(parsed.data);
  if (!MODEL_CLASSES.has(class_name) && Array.isArray(config)) {
    throw new ModelError('TOPOLOGY_INVALID', `expected a Model, Functional or Sequential, found ${class_name}`);
  }
  if (!MODEL_CLASSES.has(class_name) || maker !== undefined) {
    // It may have been called with layers, as keras.Model is, and still compute something else from them.
    const whose = maker === undefined ? '' : ` of ${maker}`;
    throw new UnsupportedOpError(class_name, `the model is of a class${whose} that is not one of Keras`);
  }
  const entries = Array.isArray(config) ? config : config.layers;
  const layers = entries.map((entry): Layer => {
    const name = entry.name ?? entry.config.name;
    if (!name) throw new ModelError('TOPOLOGY_INVALID', `a ${entry.class_name} layer has no name`);
    const owner = ownerOf(entry);
    if (owner !== undefined) {
      throw new UnsupportedOpError(entry.class_name, `layer ${name} is a class of ${owner}, not one of Keras`);
    }
    const module = entry.module ?? undefined;
    const layer: Layer = { name, className: entry.class_name, module, config: entry.config, calls: [] };
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

/**
 * Whose class it is, if not Keras': a user's class may have the name of one of Keras. Keras 2 writes no module for what is registered under a
 * package, only the package, which is Custom if none is named. Keras has registered its CustomScaleLayer so.
 */
export function ownerOf(entry: {
  class_name: string;
  module?: unknown;
  registered_name?: unknown;
}): string | undefined {
  const { class_name, module, registered_name } = entry;
  if (typeof module === 'string' && !/^(tf_)?keras\b/.test(module)) return module;
  const [owner, ...others] = String(registered_name ?? '').split('>');
  const isKeras = module != null || (owner === 'Custom' && class_name === 'CustomScaleLayer');
  return isKeras || others.length === 0 ? undefined : owner;
}

/** The class of a model that was written as a subclass: Keras keeps its name, and no layers. */
function nameOwnModel(raw: unknown): string | undefined {
  const { class_name } = z.looseObject({ class_name: z.string(), config: z.looseObject({}) }).safeParse(raw).data ?? {};
  return class_name === undefined || MODEL_CLASSES.has(class_name) ? undefined : class_name;
}

/** A sequential model as a functional one. Old files omit its input layer. */
function chain(layers: Layer[]): Pick<LayersModel, 'layers' | 'inputs' | 'outputs'> {
  const [first] = layers;
  if (!first) throw new ModelError('TOPOLOGY_INVALID', 'a sequential model without layers');
  const all = [...layers];
  if (first.className !== 'InputLayer') {
    const shape = first.config.batch_input_shape ?? first.config.batch_shape ?? firstInputShape(first.model);
    all.unshift({
      name: `${first.name}:input`,
      className: 'InputLayer',
      module: undefined,
      config: { batch_input_shape: shape },
      calls: [],
    });
  }
  const refs = all.map((layer): TensorRef => ({ layer: layer.name, call: 0, output: 0 }));
  all.forEach((layer, i) => {
    const before = refs[i - 1];
    layer.calls = before ? [{ args: [{ tensor: before }], kwargs: new Map() }] : [];
  });
  return { layers: all, inputs: refs.slice(0, 1), outputs: refs.slice(-1) };
}

function firstInputShape(model: LayersModel | undefined): unknown {
  const input = model?.layers.find((layer) => layer.name === model.inputs[0]?.layer);
  return input?.config.batch_input_shape ?? input?.config.batch_shape;
}

/** input_layers and output_layers: a list of references, references by name, or one reference alone. */
function parseRefs(value: unknown, model: string): TensorRef[] {
  const isNamed = typeof value === 'object' && value !== null && !Array.isArray(value);
  const refs = isRef(value) ? [value] : isNamed ? Object.values(value) : value;
  if (!Array.isArray(refs) || refs.length === 0 || !refs.every(isRef)) {
    throw new ModelError('TOPOLOGY_INVALID', `model ${model}: input_layers and output_layers must name tensors`);
  }
  return refs.map(toRef);
}

/** The names of a model's outputs: those of the layers that make them, with numbers if one layer has several. */
export function nameOutputs({ outputs }: LayersModel): string[] {
  const counted = new Map<string, number>();
  for (const { layer } of outputs) counted.set(layer, (counted.get(layer) ?? 0) + 1);
  return outputs.map(({ layer, call, output }) => (counted.get(layer) === 1 ? layer : `${layer}:${call}:${output}`));
}

/**
 * The number of each layer's first call, as the references to it count. For a nested model some converters count the
 * model's own making as call 0, which is not among its calls.
 */
export function firstCalls(model: LayersModel): Map<string, number> {
  const first = new Map<string, number>();
  for (const ref of [...model.outputs, ...model.layers.flatMap((layer) => layer.calls.flatMap(tensorsOf))]) {
    first.set(ref.layer, Math.min(first.get(ref.layer) ?? ref.call, ref.call));
  }
  return first;
}
