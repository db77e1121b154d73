import type { Value } from '../builder.ts';
import { globalPool } from '../emit/pool.ts';
import { int64Tensor } from '../graph.ts';
import { inputAt, type NodeCall, type NodeConverter, numbersAt } from './registry.ts';

function reduce(op: string, pooled?: 'max' | 'average'): NodeConverter {
  return (call: NodeCall): Value => {
    const { builder } = call;
    const input = inputAt(call, 0);
    const rank = input.shape.length;
    const axes = [...new Set(numbersAt(call, 1).map((axis) => (axis < 0 ? axis + rank : axis)))].sort((a, b) => a - b);
    const keepDims = call.attributes.boolean('keep_dims', call.attributes.boolean('keepDims'));
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
  };
}

export const REDUCTION_NODES: Record<string, NodeConverter> = {
  Mean: reduce('ReduceMean', 'average'),
  Max: reduce('ReduceMax', 'max'),
  Min: reduce('ReduceMin'),
  Sum: reduce('ReduceSum'),
  Prod: reduce('ReduceProd'),
};
