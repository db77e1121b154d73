import { ModelError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../builder.ts';
import { scalar } from '../ops/activation.ts';
import { binary } from '../ops/binary.ts';
import type { LayerCall, LayerConverter } from './registry.ts';

function fold(op: string) {
  return ({ builder, inputs }: LayerCall): Value => {
    const [first, ...others] = inputs;
    if (!first) throw new ModelError('TOPOLOGY_INVALID', `${op} without an input`);
    return others.reduce((sum, input) => binary(builder, op, sum, input), first);
  };
}

/** Joins values along an axis in tfjs' order (negative counts from the end). */
export function concat(builder: GraphBuilder, inputs: readonly Value[], axis: number): Value {
  const [first] = inputs;
  if (!first) throw new ModelError('TOPOLOGY_INVALID', 'Concatenate without an input');
  const rank = first.shape.length;
  const at = axis < 0 ? axis + rank : axis;
  const channelsFirst = rank === 4 && inputs.some((input) => input.channelsFirst);
  const aligned = inputs.map((input) => (channelsFirst ? builder.channelsFirst(input) : input));
  const shape = first.shape.map((size, i) =>
    i === at ? inputs.reduce((sum, input) => sum + (input.shape[i] ?? 0), 0) : size,
  );
  const onnxAxis = channelsFirst ? [0, 2, 3, 1][at] : at;
  return builder.emit('Concat', aligned, { shape, channelsFirst, type: first.type }, { axis: { int: onnxAxis ?? at } });
}

export const MERGE_LAYERS: Record<string, LayerConverter> = {
  Add: fold('Add'),
  Multiply: fold('Mul'),
  Maximum: fold('Max'),
  Minimum: fold('Min'),
  Subtract: fold('Sub'),
  Average: (call) => binary(call.builder, 'Mul', fold('Add')(call), scalar(call.builder, 1 / call.inputs.length)),
  Concatenate: ({ builder, config, inputs }) => concat(builder, inputs, config.number('axis', -1)),
};
