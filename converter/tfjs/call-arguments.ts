import { ModelError } from '../errors.ts';

/** Who wrote a model: the same words mean different things to Keras 2, Keras 3 and tfjs. */
export type Dialect = 'tfjs' | 'keras2' | 'keras3';

/** A tensor of a layers model: which layer produced it, in which of its calls, and which of its outputs it is. */
export interface TensorRef {
  layer: string;
  call: number;
  output: number;
}

/** One argument of a layer's call: a tensor, a list of arguments, or what JSON says (a number, a slice, null, …). */
export type Argument = { tensor: TensorRef } | { list: Argument[] } | { value: unknown };

/** How a layer is called. Nothing that the file says is left out. */
export interface Call {
  args: Argument[];
  kwargs: Map<string, Argument>;
}

const MAX_NESTING = 8;

/** Keras 2 writes a constant instead of a tensor as ["_CONSTANT_VALUE", -1, value, arguments]. */
const CONSTANT = '_CONSTANT_VALUE';

/** How Keras 3 wraps what JSON does not have: the class, and the field of its config that holds the value. */
const WRAPPED_VALUES = new Set(['__numpy__', '__tensor__']);

export function isRef(value: unknown): value is [string, number, number] {
  return (
    Array.isArray(value) &&
    value.length >= 3 &&
    value.length <= 4 &&
    typeof value[0] === 'string' &&
    Number.isInteger(value[1]) &&
    Number.isInteger(value[2])
  );
}

export function toRef([layer, call, output]: [string, number, number]): TensorRef {
  return { layer, call, output };
}

/**
 * Whether an argument says that the model answers and does not learn, and that nothing is masked. In Keras 3
 * predict() overrides what the layer was called with, in Keras 2 it does not.
 */
export function isOff(name: string, argument: Argument, dialect: Dialect): boolean {
  if (dialect === 'keras3' && name === 'training')
    return 'value' in argument && (argument.value === null || typeof argument.value === 'boolean');
  const isNothing = 'value' in argument && (argument.value === null || argument.value === false);
  return isNothing && (name === 'training' || name === 'mask');
}

/** Every tensor among arguments, in order. */
export function tensorsOf({ args, kwargs }: Call): TensorRef[] {
  const found: TensorRef[] = [];
  const visit = (argument: Argument): void => {
    if ('tensor' in argument) found.push(argument.tensor);
    else if ('list' in argument) argument.list.forEach(visit);
  };
  args.forEach(visit);
  for (const argument of kwargs.values()) visit(argument);
  return found;
}

/**
 * One entry of a layer's `inbound_nodes`. Keras 1, 2 and tfjs list [layer, call, output, arguments] for each input;
 * Keras 3 writes the arguments as they were given.
 * @throws ModelError TOPOLOGY_INVALID
 */
export function parseCall(node: unknown, layer: string): Call {
  if (Array.isArray(node)) return parseOldCall(node, layer);
  if (!isObject(node)) throw invalid(layer, 'neither a list nor an object');
  const { args = [], kwargs = {}, ...others } = node;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalid(layer, `unknown field ${other}`);
  const list = parseArgument(args, layer, 0);
  if (!('list' in list) || !isObject(kwargs)) throw invalid(layer, 'args must be a list and kwargs an object');
  return { args: list.list, kwargs: parseKwargs(kwargs, layer) };
}

function parseOldCall(node: unknown[], layer: string): Call {
  const entries = isEntry(node) ? [node] : node;
  const kwargs = new Map<string, Argument>();
  const inputs = entries.map((entry): Argument => {
    if (!isEntry(entry)) throw invalid(layer, 'expected [layer, call, output]');
    const [name, , , more] = entry;
    if (more !== undefined && more !== null) {
      if (!isObject(more)) throw invalid(layer, 'expected an object of arguments');
      for (const [key, argument] of parseKwargs(more, layer)) kwargs.set(key, argument);
    }
    if (name === CONSTANT) return parseArgument(entry[2], layer, 0);
    if (!isRef(entry)) throw invalid(layer, 'expected [layer, call, output]');
    return { tensor: toRef(entry) };
  });
  const [only] = inputs;
  return { args: only && inputs.length === 1 ? [only] : [{ list: inputs }], kwargs };
}

/** [layer, call, output] or a constant, with or without arguments. */
function isEntry(value: unknown): value is [string, number, unknown, unknown?] {
  return Array.isArray(value) && typeof value[0] === 'string' && value.length >= 3 && value.length <= 4;
}

function parseKwargs(kwargs: Record<string, unknown>, layer: string): Map<string, Argument> {
  return new Map(Object.entries(kwargs).map(([key, value]) => [key, parseArgument(value, layer, 0)]));
}

function parseArgument(value: unknown, layer: string, depth: number): Argument {
  if (depth > MAX_NESTING) throw invalid(layer, 'nested too deeply');
  if (isRef(value) && value[0] !== CONSTANT) return { tensor: toRef(value) };
  if (Array.isArray(value)) return { list: value.map((item) => parseArgument(item, layer, depth + 1)) };
  if (!isObject(value) || !isObject(value.config)) return { value };
  const { class_name, config } = value;
  if (class_name === '__keras_tensor__') {
    if (!isRef(config.keras_history)) throw invalid(layer, 'a tensor without keras_history');
    return { tensor: toRef(config.keras_history) };
  }
  if (class_name === '__tuple__') return parseArgument(config.value, layer, depth + 1);
  if (WRAPPED_VALUES.has(String(class_name))) return parseArgument(config.value, layer, depth + 1);
  return { value };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(layer: string, what: string): ModelError {
  return new ModelError('TOPOLOGY_INVALID', `layer ${layer}: inbound_nodes: ${what}`);
}
