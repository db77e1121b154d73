import { ModelError, ShapeMismatchError } from '../../errors.ts';
import { BATCH, elementCount, int64Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { binary } from './binary.ts';

/** Position of a dimension of tfjs' order in the value's ONNX tensor. */
export function onnxAxis(value: Value, axis: number): number {
  const at = axis < 0 ? axis + value.shape.length : axis;
  return value.channelsFirst ? ([0, 2, 3, 1][at] ?? at) : at;
}

/** Joins values along an axis in tfjs' order (negative counts from the end). */
export function concat(builder: GraphBuilder, inputs: readonly Value[], axis: number): Value {
  const [first] = inputs;
  if (!first) throw new ModelError('TOPOLOGY_INVALID', 'nothing to concatenate');
  if (inputs.length === 1) return first;
  const at = axis < 0 ? axis + first.shape.length : axis;
  const channelsFirst = inputs.some((input) => input.channelsFirst);
  const aligned = inputs.map((input) => (channelsFirst ? builder.channelsFirst(input) : input));
  const shape = first.shape.map((size, i) =>
    i === at ? inputs.reduce((sum, input) => sum + (input.shape[i] ?? 0), 0) : size,
  );
  const result = { shape, channelsFirst, type: first.type };
  return builder.emit('Concat', aligned, result, { axis: { int: onnxAxis({ ...first, channelsFirst }, at) } });
}

/** A part of a value, begins and ends in tfjs' order; a step may be negative. Dimensions not named stay whole. */
export function slice(
  builder: GraphBuilder,
  input: Value,
  parts: readonly { axis: number; begin: number; end: number; step?: number }[],
): Value {
  if (parts.length === 0) return input;
  const shape = input.shape.map((size, axis) => {
    const part = parts.find((candidate) => candidate.axis === axis);
    return part ? Math.max(Math.ceil((part.end - part.begin) / (part.step ?? 1)), 0) : size;
  });
  const ints = (values: number[]) => builder.constant(int64Tensor(values));
  return builder.emit(
    'Slice',
    [
      input,
      ints(parts.map((part) => part.begin)),
      ints(parts.map((part) => (part.end < 0 ? Number.MIN_SAFE_INTEGER : part.end))),
      ints(parts.map((part) => onnxAxis(input, part.axis))),
      ints(parts.map((part) => part.step ?? 1)),
    ],
    { shape, channelsFirst: input.channelsFirst, type: input.type },
  );
}

/** Reorders dimensions: dimension i of the result is dimension order[i] of the input, in tfjs' order. */
export function transpose(builder: GraphBuilder, input: Value, order: readonly number[]): Value {
  const plain = builder.channelsLast(input);
  if (order.every((axis, i) => axis === i)) return plain;
  const shape = order.map((axis) => plain.shape[axis] ?? 1);
  return builder.emit('Transpose', [plain], { shape, type: plain.type }, { perm: { ints: order } });
}

/**
 * The shape that a reshape gives. One dimension may be -1; a leading 1 of a graph frozen at batch 1 means the batch.
 * @throws ShapeMismatchError if the number of elements does not fit, or images no longer have a separate dimension
 */
export function resolveShape(input: readonly number[], target: readonly number[]): number[] {
  const resolved = keepBatch(input, target) ?? fillOpen(input, target);
  if (input[0] === BATCH && resolved[0] !== BATCH) throw mismatch(input, target);
  return resolved;
}

/**
 * The same for a graph, which may put the images of a batch behind each other, as 64 rows per image.
 * @param countsImages whether numbers below zero in `target` are multiples of the number of images; one -1 may still be open
 * @throws ShapeMismatchError if the number of elements does not fit
 */
export function resolveRows(input: readonly number[], target: readonly number[], countsImages: boolean): number[] {
  const isExact = countsImages && elementCount(target) === elementCount(input);
  if (isExact && target.filter((size) => size < 0).length === 1) return [...target];
  return keepBatch(input, target) ?? fillOpen(input, target);
}

function keepBatch(input: readonly number[], target: readonly number[]): number[] | undefined {
  const [first = 1, ...rest] = target;
  if (input[0] !== BATCH || (first !== BATCH && first !== 1)) return undefined;
  const count = elementCount(input.slice(1));
  const known = elementCount(rest.filter((size) => size >= 0));
  const open = rest.filter((size) => size < 0).length;
  if (open === 0 && known === count) return [BATCH, ...rest];
  if (open !== 1 || count % known !== 0) return undefined;
  return [BATCH, ...rest.map((size) => (size < 0 ? count / known : size))];
}

function fillOpen(input: readonly number[], target: readonly number[]): number[] {
  const total = elementCount(input);
  const open = target.lastIndexOf(-1);
  const rest = total / elementCount(target.filter((_, axis) => axis !== open));
  const resolved = target.map((size, axis) => (axis === open ? rest : size));
  const fits = elementCount(resolved) === total && resolved.filter((size) => size < 0).length <= 1;
  if (!fits || !resolved.every(Number.isInteger)) throw mismatch(input, target);
  return resolved;
}

function mismatch(input: readonly number[], target: readonly number[]): ShapeMismatchError {
  return new ShapeMismatchError(`[${input}] cannot be given the shape [${target}]`);
}

/** Sizes as an operand; those that depend on the number of images are computed when the graph runs. */
export function sizesOperand(builder: GraphBuilder, sizes: readonly number[]): Value {
  const ints = (values: readonly number[]) => builder.constant(int64Tensor(values));
  const [image] = builder.graph.inputs;
  if (!image || sizes.every((size) => size >= 0)) return ints(sizes);
  const shape = builder.emit('Shape', [{ ...image, channelsFirst: false }], { shape: [4], type: 'int64' });
  const count = builder.emit('Gather', [shape, ints([0])], { shape: [1], type: 'int64' }, { axis: { int: 0 } });
  const perImage = binary(builder, 'Mul', count, ints(sizes.map((size) => Math.max(-size, 0))));
  return binary(builder, 'Add', perImage, ints(sizes.map((size) => Math.max(size, 0))));
}
