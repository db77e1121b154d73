import { UnsupportedOpError } from '../../errors.ts';
import { type Call, type Dialect, isOff, type TensorRef } from '../../tfjs/call-arguments.ts';
import type { Layer } from '../../tfjs/topology.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { Operands, type Operation, toOperand } from './operands.ts';
import { findKeras2Operation, findKeras3Operation } from './operations.ts';

/** Fields of a layer's config that are not parameters of its operation. */
const NOT_PARAMETERS = new Set(['name', 'trainable', 'function']);

/**
 * The operation that a layer wraps, if any: Keras wraps functions of tensors in layers.
 * @param hasLayer whether there is a layer of that class
 * @throws UnsupportedOpError for an operation that is not known
 */
export function findOperation(layer: Layer, call: Call, dialect: Dialect, hasLayer: boolean): Operation | undefined {
  const { className, config, name } = layer;
  const found = (operation: Operation | undefined, what: string): Operation => {
    if (!operation) throw new UnsupportedOpError(what, `layer ${name}`);
    return operation;
  };
  if (className === 'TFOpLambda') {
    const written = String(config.function);
    return readAll(found(findKeras2Operation(written), written));
  }
  if (className === 'SlicingOpLambda') return readAll(found(findKeras2Operation('getitem'), className));
  if (dialect !== 'keras3') return undefined;
  const isFromOps = layer.module !== undefined && /\bops\b/.test(layer.module);
  // Converters omit the module: Add, Multiply and Reshape are layers and operations.
  if (!isFromOps && hasLayer && config.newshape === undefined && isCalledAsLayer(call)) return undefined;
  const operation = findKeras3Operation(className);
  return isFromOps ? readAll(found(operation, className)) : operation && readAll(operation);
}

/** One tensor or one list of tensors, and nothing else that matters. */
function isCalledAsLayer({ args, kwargs }: Call): boolean {
  return args.length === 1 && [...kwargs].every(([name, argument]) => isOff(name, argument, 'keras3'));
}

function readAll(operation: Operation): Operation {
  return (operands) => {
    const result = operation(operands);
    operands.requireAllRead();
    return result;
  };
}

/** Parameters by their position, if they are not x and y. */
const POSITIONS: Record<string, string[]> = {
  GetItem: ['x', 'key'],
  Pad: ['x', 'constant_values'],
  Take: ['x', 'indices'],
  Where: ['condition', 'x', 'y'],
  where: ['condition', 'x', 'y'],
};

/** What an operation is called with: arguments by position and by name, and what Keras 3 keeps in the layer's config. */
export function toOperands(
  builder: GraphBuilder,
  layer: Layer,
  { args, kwargs }: Call,
  find: (ref: TensorRef) => Value,
  dialect: Dialect,
): Operands {
  const isOld = layer.className === 'TFOpLambda' || layer.className === 'SlicingOpLambda';
  const operands = new Operands(builder, layer.name, isOld ? String(layer.config.function) : layer.className, dialect);
  const positions = POSITIONS[isOld ? String(layer.config.function) : layer.className] ?? ['x', 'y'];
  args.forEach((argument, i) => {
    const position = positions[i];
    if (position === undefined) throw operands.unsupported(`with ${args.length} arguments`);
    operands.add(position, toOperand(argument, find));
  });
  for (const [name, argument] of kwargs) operands.add(name, toOperand(argument, find));
  for (const [field, constant] of Object.entries(layer.config)) {
    if (!NOT_PARAMETERS.has(field) && (!isOld || field !== 'dtype')) operands.add(field, { constant });
  }
  return operands;
}
