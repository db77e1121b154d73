import { UnsupportedOpError } from '../../errors.ts';
import { reduce } from '../emit/reduce.ts';
import type { Value } from '../graph/graph-builder.ts';
import { inputAt, type NodeCall, type NodeConverter, numbersAt } from './node-converter.ts';

function reduction(op: string, pooled?: 'max' | 'average'): NodeConverter {
  return (call: NodeCall): Value => {
    const keepDims = call.attributes.boolean('keep_dims', call.attributes.boolean('keepDims'));
    const input = inputAt(call, 0);
    const axes = numbersAt(call, 1);
    if (axes.some((axis) => (input.shape.at(axis) ?? 1) < 0)) {
      throw new UnsupportedOpError(call.op, `over the images of a batch, node ${call.name}`);
    }
    return reduce(call.builder, op, input, axes, keepDims, pooled);
  };
}

export const REDUCTION_NODES: Record<string, NodeConverter> = {
  Mean: reduction('ReduceMean', 'average'),
  Max: reduction('ReduceMax', 'max'),
  Min: reduction('ReduceMin'),
  Sum: reduction('ReduceSum'),
  Prod: reduction('ReduceProd'),
};
