import type { Value } from '../builder.ts';
import { reduce } from '../emit/reduce.ts';
import { inputAt, type NodeCall, type NodeConverter, numbersAt } from './node-converter.ts';

function reduction(op: string, pooled?: 'max' | 'average'): NodeConverter {
  return (call: NodeCall): Value => {
    const keepDims = call.attributes.boolean('keep_dims', call.attributes.boolean('keepDims'));
    return reduce(call.builder, op, inputAt(call, 0), numbersAt(call, 1), keepDims, pooled);
  };
}

export const REDUCTION_NODES: Record<string, NodeConverter> = {
  Mean: reduction('ReduceMean', 'average'),
  Max: reduction('ReduceMax', 'max'),
  Min: reduction('ReduceMin'),
  Sum: reduction('ReduceSum'),
  Prod: reduction('ReduceProd'),
};
