import { ModelError, UnsupportedOpError } from '../../errors.ts';
import { binary } from '../emit/binary.ts';
import { scalar } from '../emit/named-activations.ts';
import { concat } from '../emit/shape.ts';
import type { Value } from '../graph/graph-builder.ts';
import type { LayerCall, LayerConverter } from './layer-converter.ts';

/** Values with fewer dimensions than others get new ones behind the batch. */
function toOneRank({ builder, inputs }: LayerCall): Value[] {
  const rank = Math.max(...inputs.map(({ shape }) => shape.length));
  return inputs.map((input) => {
    const missing = rank - input.shape.length;
    return missing === 0 ? input : builder.reshape(input, input.shape.toSpliced(1, 0, ...Array(missing).fill(1)));
  });
}

function fold(op: string) {
  return (call: LayerCall): Value => {
    const { builder } = call;
    const [first, ...others] = toOneRank(call);
    if (!first) throw new ModelError('TOPOLOGY_INVALID', `${op} without an input`);
    return others.reduce((sum, input) => binary(builder, op, sum, input), first);
  };
}

/** A sum whose second part is multiplied by a number. */
function addScaled({ builder, className, config, inputs }: LayerCall): Value {
  const [first, second, ...others] = inputs;
  if (!first || !second || others.length > 0) {
    throw new UnsupportedOpError(className, `expected two inputs, found ${inputs.length}`);
  }
  return binary(builder, 'Add', first, binary(builder, 'Mul', second, scalar(builder, config.number('scale'))));
}

export const MERGE_LAYERS: Record<string, LayerConverter> = {
  Add: fold('Add'),
  Multiply: fold('Mul'),
  Maximum: fold('Max'),
  Minimum: fold('Min'),
  Subtract: fold('Sub'),
  Average: (call) => binary(call.builder, 'Mul', fold('Add')(call), scalar(call.builder, 1 / call.inputs.length)),
  // Of InceptionResNetV2 in keras.applications. Keras 2 registers it as a custom class, and writes it so into .h5 files.
  CustomScaleLayer: addScaled,
  'Custom>CustomScaleLayer': addScaled,
  Concatenate: ({ builder, config, inputs }) => concat(builder, inputs, config.number('axis', -1)),
};
