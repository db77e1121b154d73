/** Operations on tensors: TFOpLambda and SlicingOpLambda of Keras 2, keras.ops of Keras 3. */

import { binary, broadcastShapes } from '../emit/binary.ts';
import { softmax, unary } from '../emit/named-activations.ts';
import { reduce } from '../emit/reduce.ts';
import { resizeImage } from '../emit/resize.ts';
import { transpose } from '../emit/shape.ts';
import { floatTensor } from '../graph/graph.ts';
import type { Value } from '../graph/graph-builder.ts';
import { ELEMENTWISE_OPERATIONS } from './elementwise-operations.ts';
import { MOVEMENT_OPERATIONS } from './movement-operations.ts';
import type { Operands, Operation } from './operands.ts';
import { toUnitLength } from './unit-length.ts';

/** The axes of a reduction, counted from the first. */
function axesOf(operands: Operands, { shape }: Value): number[] {
  const axes = operands.axes('axis', shape.length);
  if (axes === undefined || axes.includes(0)) throw operands.unsupported('over the batch');
  // Not every reduction over nothing is the value itself: a length is an absolute value.
  if (axes.length === 0) throw operands.unsupported('over no axis');
  return axes;
}

function reduction(op: string, pooled?: 'max' | 'average'): Operation {
  return (operands) => {
    const x = operands.value('x');
    const axes = axesOf(operands, x);
    return reduce(operands.builder, op, x, axes, operands.boolean('keepdims'), pooled);
  };
}

/** The mean of the squared distances from the mean, as numpy and TensorFlow define it. */
function variance(operands: Operands): Value {
  const { builder } = operands;
  const x = operands.value('x');
  const axes = axesOf(operands, x);
  const distance = binary(builder, 'Sub', x, reduce(builder, 'ReduceMean', x, axes, true));
  const square = binary(builder, 'Mul', distance, distance);
  return reduce(builder, 'ReduceMean', square, axes, operands.boolean('keepdims'));
}

/** The root of the sum of squares. */
const norm: Operation = (operands) => {
  operands.allow('ord', 2, 'euclidean');
  const x = operands.value('x');
  const axes = axesOf(operands, x);
  // Over two axes it is one of a matrix for Keras 3.
  if (axes.length > 1) throw operands.unsupported('over several axes');
  return reduce(operands.builder, 'ReduceL2', x, axes, operands.boolean('keepdims'));
};

/** Keras 3 bounds the length, TensorFlow its square. */
const normalize =
  (floorOf: (epsilon: number | undefined) => number): Operation =>
  (operands) => {
    operands.allow('order', 2);
    const x = operands.value('x');
    const axes = axesOf(operands, x);
    const epsilon = operands.constant('epsilon');
    if (epsilon !== undefined && typeof epsilon !== 'number') throw operands.unsupported('with a computed epsilon');
    return toUnitLength(operands.builder, x, axes, floorOf(epsilon));
  };

/** Of the last two dimensions; those before them broadcast. */
const matrixProduct: Operation = (operands) => {
  const { builder } = operands;
  const [a, b] = ['x', 'y'].map((name) => {
    const value = builder.channelsLast(operands.value(name));
    const isTurned = operands.boolean(name === 'x' ? 'transpose_a' : 'transpose_b');
    const order = value.shape.map((_, axis) => axis);
    return isTurned ? transpose(builder, value, [...order.slice(0, -2), ...order.slice(-2).reverse()]) : value;
  }) as [Value, Value];
  const [rows, inner] = a.shape.slice(-2);
  const [length, columns] = b.shape.slice(-2);
  if (rows === undefined || inner === undefined || columns === undefined || inner !== length)
    throw operands.unsupported(`of [${a.shape}] and [${b.shape}]`);
  // A product over the batch, or of two batches, mixes its images.
  if (inner < 0 || columns < 0 || (rows < 0 && b.shape.length > 2))
    throw operands.unsupported(`of [${a.shape}] and [${b.shape}]`);
  const shape = [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
  return builder.emit('MatMul', [a, b], { shape });
};

/** As in ITU-R 601, with the digits that TensorFlow has. */
const toGray: Operation = (operands) => {
  operands.allow('data_format', 'channels_last');
  const x = operands.value('x');
  if (x.shape.at(-1) === 1) return x;
  const { builder } = operands;
  const weights = builder.constant(floatTensor([3], [0.2989, 0.587, 0.114]));
  return reduce(builder, 'ReduceSum', binary(builder, 'Mul', x, weights), [-1], true);
};

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

/** @param usual the axis if none is given */
const softmaxOver =
  (op: string, usual?: number): Operation =>
  (operands) => {
    const axis = operands.constant('axis') ?? usual;
    if (typeof axis !== 'number') throw operands.unsupported('over other than one axis');
    const x = operands.value('x');
    if (operands.axis(axis, x.shape.length) === 0) throw operands.unsupported('over the batch');
    return softmax(operands.builder, x, axis, op);
  };

const OPERATIONS: Record<string, Operation> = {
  ...ELEMENTWISE_OPERATIONS,
  softmax: softmaxOver('Softmax'),
  log_softmax: softmaxOver('LogSoftmax'),
  // No axis means the last one to TensorFlow, and to Keras 3 all of them, the batch among them.
  tensorflow_softmax: softmaxOver('Softmax', -1),
  tensorflow_log_softmax: softmaxOver('LogSoftmax', -1),
  mean: reduction('ReduceMean', 'average'),
  max: reduction('ReduceMax', 'max'),
  min: reduction('ReduceMin'),
  sum: reduction('ReduceSum'),
  prod: reduction('ReduceProd'),
  logsumexp: reduction('ReduceLogSumExp'),
  var: variance,
  std: (operands) => unary(operands.builder, 'Sqrt', variance(operands)),
  norm,
  normalize: normalize((epsilon = 1e-7) => epsilon),
  l2_normalize: normalize((epsilon = 1e-12) => Math.sqrt(epsilon)),
  matmul: matrixProduct,
  rgb_to_grayscale: toGray,
  // Everything is a float here, and a conversion to another type is refused with the dtype.
  cast: identity,
  identity,
  resize,
  ...MOVEMENT_OPERATIONS,
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
  reduce_prod: 'prod',
  reduce_logsumexp: 'logsumexp',
  reduce_variance: 'var',
  reduce_std: 'std',
  floordiv: 'floor_divide',
  clip_by_value: 'clip',
  concat: 'concatenate',
  swish: 'silu',
  stop_gradient: 'identity',
  softmax: 'tensorflow_softmax',
  log_softmax: 'tensorflow_log_softmax',
  reverse: 'flip',
  gather: 'take',
};
/** `compat.v1.image.resize` is not among them: it takes pixels' corners for their centers. */
const TENSORFLOW_MODULES = /^(compat\.v1\.(?!image\.resize))?((math|nn|image|linalg|__operators__)\.)?/;

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
  floordivide: 'floor_divide',
  greaterequal: 'greater_equal',
  lessequal: 'less_equal',
  hardshrink: 'hard_shrink',
  hardtanh: 'hard_tanh',
  logsigmoid: 'log_sigmoid',
  logsoftmax: 'log_softmax',
  softshrink: 'soft_shrink',
  sparsesigmoid: 'sparse_sigmoid',
  tanhshrink: 'tanh_shrink',
  rgbtograyscale: 'rgb_to_grayscale',
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
