import { binary } from '../emit/binary.ts';
import { scalar } from '../emit/named-activations.ts';
import { reduce } from '../emit/reduce.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';

/** Divides by the root of the sum of squares over some axes, or by `floor` if that is more. */
export function toUnitLength(builder: GraphBuilder, x: Value, axes: readonly number[], floor: number): Value {
  const length = reduce(builder, 'ReduceL2', x, axes, true);
  return binary(builder, 'Div', x, binary(builder, 'Max', length, scalar(builder, floor)));
}
