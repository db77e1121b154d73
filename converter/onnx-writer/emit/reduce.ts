import { int64Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { globalPool } from './pool.ts';

/**
 * A reduction over some axes in tfjs' order; negative ones count from the end.
 * @param pooled what the reduction is called when it is over rows and columns
 */
export function reduce(
  builder: GraphBuilder,
  op: string,
  input: Value,
  over: readonly number[],
  keepDims: boolean,
  pooled?: 'max' | 'average',
): Value {
  const rank = input.shape.length;
  const axes = [...new Set(over.map((axis) => (axis < 0 ? axis + rank : axis)))].sort((a, b) => a - b);
  if (axes.length === 0) return input;
  if (pooled && rank === 4 && axes.join() === '1,2') return globalPool(builder, pooled, input, keepDims);
  const plain = builder.channelsLast(input);
  const shape = keepDims
    ? plain.shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : plain.shape.filter((_, axis) => !axes.includes(axis));
  const keep = { keepdims: { int: keepDims ? 1 : 0 } };
  // Of the reductions only ReduceSum takes its axes as an input in this opset.
  return op === 'ReduceSum'
    ? builder.emit(op, [plain, builder.constant(int64Tensor(axes))], { shape }, keep)
    : builder.emit(op, [plain], { shape }, { axes: { ints: axes }, ...keep });
}
