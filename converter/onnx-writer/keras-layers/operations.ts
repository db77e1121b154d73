/** Operations on tensors: TFOpLambda and SlicingOpLambda of Keras 2, keras.ops of Keras 3. */

import { activate, clip, softmax, unary } from '../emit/activation.ts';
import { binary } from '../emit/binary.ts';
import { reduce } from '../emit/reduce.ts';
import { resizeImage } from '../emit/resize.ts';
import { concat, resolveShape, transpose } from '../emit/shape.ts';
import { BATCH } from '../graph/graph.ts';
import type { Value } from '../graph/graph-builder.ts';
import type { Operands } from './operands.ts';
import { sliceByKey } from './slices.ts';

export type Operation = (operands: Operands) => Value;

function pairwise(op: string): Operation {
  return (operands) => binary(operands.builder, op, operands.value('x'), operands.value('y'));
}

function elementwise(op: string): Operation {
  return (operands) => unary(operands.builder, op, operands.value('x'));
}

function activation(name: string): Operation {
  return (operands) => activate(operands.builder, name, operands.value('x'));
}

function withAlpha(op: string, parameters: readonly string[], fallback: number): Operation {
  return (operands) => {
    const given = parameters.map((name) => operands.constant(name)).find((value) => value !== undefined);
    const alpha = given ?? fallback;
    if (typeof alpha !== 'number') throw operands.unsupported('with a slope that is not a number');
    return unary(operands.builder, op, operands.value('x'), { alpha: { float: alpha } });
  };
}

function reduction(op: string, pooled?: 'max' | 'average'): Operation {
  return (operands) => {
    const axes = operands.ints('axis');
    if (axes === undefined) throw operands.unsupported('over the batch');
    const keepDims = operands.constant('keepdims') === true;
    return reduce(operands.builder, op, operands.value('x'), axes, keepDims, pooled);
  };
}

const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const identity: Operation = (operands) => operands.value('x');

const resize: Operation = (operands) => {
  const size = operands.ints('size') ?? [];
  const method = operands.constant('method') ?? operands.constant('interpolation') ?? 'bilinear';
  for (const name of ['preserve_aspect_ratio', 'antialias', 'crop_to_aspect_ratio', 'pad_to_aspect_ratio']) {
    operands.allow(name);
  }
  operands.allow('data_format', 'channels_last');
  operands.allow('fill_mode', 'constant');
  operands.allow('fill_value', 0);
  const [height, width] = size;
  if (!height || !width || (method !== 'bilinear' && method !== 'nearest')) throw operands.unsupported(`by ${method}`);
  return resizeImage(operands.builder, operands.value('x'), [height, width], method, { halfPixelCenters: true });
};

const softmaxOver: Operation = (operands) =>
  softmax(operands.builder, operands.value('x'), operands.number('axis', -1));

const OPERATIONS: Record<string, Operation> = {
  add: pairwise('Add'),
  subtract: pairwise('Sub'),
  multiply: pairwise('Mul'),
  divide: pairwise('Div'),
  maximum: pairwise('Max'),
  minimum: pairwise('Min'),
  power: pairwise('Pow'),
  bias_add: (operands) => {
    operands.allow('data_format', 'NHWC', 'channels_last');
    return pairwise('Add')(operands);
  },
  negative: elementwise('Neg'),
  abs: elementwise('Abs'),
  ceil: elementwise('Ceil'),
  floor: elementwise('Floor'),
  exp: elementwise('Exp'),
  log: elementwise('Log'),
  sqrt: elementwise('Sqrt'),
  sign: elementwise('Sign'),
  sin: elementwise('Sin'),
  cos: elementwise('Cos'),
  erf: elementwise('Erf'),
  reciprocal: elementwise('Reciprocal'),
  rsqrt: (operands) => unary(operands.builder, 'Reciprocal', elementwise('Sqrt')(operands)),
  square: (operands) => {
    const x = operands.value('x');
    return binary(operands.builder, 'Mul', x, x);
  },
  relu: activation('relu'),
  relu6: activation('relu6'),
  sigmoid: activation('sigmoid'),
  tanh: activation('tanh'),
  selu: activation('selu'),
  softplus: activation('softplus'),
  softsign: activation('softsign'),
  hard_sigmoid: activation('relu6sigmoid'),
  hard_silu: activation('hardsilu'),
  mish: activation('mish'),
  silu: (operands) => {
    operands.allow('beta', 1);
    return activation('silu')(operands);
  },
  gelu: (operands) => activation(operands.constant('approximate') === true ? 'gelunew' : 'gelu')(operands),
  leaky_relu: withAlpha('LeakyRelu', ['negative_slope', 'alpha'], 0.2),
  elu: withAlpha('Elu', ['alpha'], 1),
  softmax: softmaxOver,
  clip: (operands) =>
    clip(operands.builder, operands.value('x'), operands.number('x_min', 0), operands.number('x_max', 0)),
  mean: reduction('ReduceMean', 'average'),
  max: reduction('ReduceMax', 'max'),
  min: reduction('ReduceMin'),
  sum: reduction('ReduceSum'),
  // Everything is a float here, and a conversion to another type is refused with the dtype.
  cast: identity,
  identity,
  resize,
  reshape: (operands) => {
    const x = operands.value('x');
    return operands.builder.reshape(x, resolveShape(x.shape, operands.ints('shape') ?? []));
  },
  transpose: (operands) => {
    const x = operands.value('x');
    const order = operands.ints('perm')?.map((axis) => axisOf(axis, x.shape.length));
    if (order?.[0] !== 0) throw operands.unsupported('that moves the batch');
    return transpose(operands.builder, x, order);
  },
  expand_dims: (operands) => {
    const x = operands.value('x');
    const axis = axisOf(operands.number('axis', 0), x.shape.length + 1);
    if (axis === 0 && x.shape[0] === BATCH) throw operands.unsupported('that moves the batch');
    return operands.builder.reshape(x, x.shape.toSpliced(axis, 0, 1));
  },
  squeeze: (operands) => {
    const x = operands.value('x');
    const axes = operands.ints('axis')?.map((axis) => axisOf(axis, x.shape.length));
    const drop = (size: number, axis: number) => size === 1 && (axes === undefined || axes.includes(axis));
    return operands.builder.reshape(
      x,
      x.shape.filter((size, axis) => !drop(size, axis)),
    );
  },
  concatenate: (operands) => concat(operands.builder, operands.values('x'), operands.number('axis', 0)),
  getitem: (operands) => sliceByKey(operands.builder, operands.value('x'), operands.constant('key'), operands),
};

/** TensorFlow's functions by the names that Keras 2 writes, without the modules in front; those not here have their own name. */
const KERAS_2_NAMES: Record<string, string> = {
  truediv: 'divide',
  pow: 'power',
  neg: 'negative',
  reduce_mean: 'mean',
  reduce_max: 'max',
  reduce_min: 'min',
  reduce_sum: 'sum',
  clip_by_value: 'clip',
  concat: 'concatenate',
  swish: 'silu',
  stop_gradient: 'identity',
};
const TENSORFLOW_MODULES = /^(compat\.v1\.)?((math|nn|image|linalg|__operators__)\.)?/;

/** Classes of keras.ops, in lower case and without underscores; those not here have their own name. */
const KERAS_3_NAMES: Record<string, string> = {
  truedivide: 'divide',
  absolute: 'abs',
  biasadd: 'bias_add',
  hardsigmoid: 'hard_sigmoid',
  hardsilu: 'hard_silu',
  hardswish: 'hard_silu',
  leakyrelu: 'leaky_relu',
  swish: 'silu',
  amax: 'max',
  amin: 'min',
  expanddims: 'expand_dims',
  stopgradient: 'identity',
};

/** An operation by the name of the function that Keras 2 writes. */
export function findKeras2Operation(name: string): Operation | undefined {
  const short = name.replace(TENSORFLOW_MODULES, '');
  return find(Object.hasOwn(KERAS_2_NAMES, short) ? (KERAS_2_NAMES[short] as string) : short);
}

/** An operation by the class that Keras 3 writes. */
export function findKeras3Operation(className: string): Operation | undefined {
  const short = className.toLowerCase();
  return find(Object.hasOwn(KERAS_3_NAMES, short) ? (KERAS_3_NAMES[short] as string) : short);
}

function find(name: string): Operation | undefined {
  return Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
}
