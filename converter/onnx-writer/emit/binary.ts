import { ShapeMismatchError } from '../../errors.ts';
import { BATCH, type ElementType } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';

/**
 * Numpy's broadcasting, with the batch's unknown size.
 * @throws ShapeMismatchError
 */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const at = (shape: readonly number[], axis: number) => shape[axis - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, axis) => {
    const [left, right] = [at(a, axis), at(b, axis)];
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    // Made for a fixed number of images.
    if (left === BATCH ? right > 0 : right === BATCH && left > 0) return BATCH;
    throw new ShapeMismatchError(`shapes [${a}] and [${b}] do not fit each other`);
  });
}

/** An op on the elements of two values that broadcast, whichever order their channels are in. */
export function binary(builder: GraphBuilder, op: string, a: Value, b: Value, type?: ElementType): Value {
  const [left, right] = sameOrder(builder, a, b);
  return builder.emit(op, [left, right], {
    shape: broadcastShapes(a.shape, b.shape),
    channelsFirst: left.channelsFirst || right.channelsFirst,
    type: type ?? a.type,
  });
}

/** Brings two values into one order of dimensions. */
export function sameOrder(builder: GraphBuilder, a: Value, b: Value): [Value, Value] {
  if (a.channelsFirst === b.channelsFirst) return [a, b];
  const [left, right] = [towards(builder, a, b), towards(builder, b, a)];
  if (left.channelsFirst === right.channelsFirst || isScalar(left) || isScalar(right)) return [left, right];
  return [builder.channelsLast(left), builder.channelsLast(right)];
}

function isScalar(value: Value): boolean {
  return value.shape.length === 0;
}

/** `value` with its channels first if `other` has them first and it can follow. */
function towards(builder: GraphBuilder, value: Value, other: Value): Value {
  if (!other.channelsFirst || value.channelsFirst || isScalar(value)) return value;
  if (value.shape.length === 4) return builder.channelsFirst(value);
  const tensor = builder.tensorOf(value);
  if (!tensor || value.shape.length > 4) return value;
  const shape = [...Array(4 - value.shape.length).fill(1), ...value.shape] as number[];
  return builder.channelsFirst(builder.constant({ ...tensor, shape }));
}
