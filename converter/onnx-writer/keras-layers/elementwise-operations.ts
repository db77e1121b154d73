/** Operations on single values, or on pairs of values. */

import { binary, broadcastShapes } from '../emit/binary.ts';
import { activate, clip, scalar, toFloat, unary } from '../emit/named-activations.ts';
import type { Value } from '../graph/graph-builder.ts';
import type { Operands, Operation } from './operands.ts';

function pairwise(op: string) {
  return (operands: Operands): Value => binary(operands.builder, op, operands.value('x'), operands.value('y'));
}

/**
 * Keras 3's TensorFlow backend takes a second operand with one dimension above 1 for a bias: of the last dimension if it has that
 * size, else of the first behind the batch, whatever numpy's broadcasting says. A file does not name its backend.
 * @throws UnsupportedOpError if the two differ
 */
function add(operands: Operands): Value {
  const [x, y] = [operands.value('x'), operands.value('y')];
  const [size, ...others] = y.shape.filter((length) => length !== 1);
  if (operands.dialect === 'keras3' && size !== undefined && size > 1 && others.length === 0 && x.shape.length > 1) {
    const last = x.shape.length - 1;
    const biased = x.shape[last] === size ? last : x.shape[1] === size ? 1 : undefined;
    const broadcast = x.shape.length - y.shape.length + y.shape.indexOf(size);
    if (biased !== undefined && biased !== broadcast)
      throw operands.unsupported(`of [${y.shape}] to [${x.shape}], which Keras' backends add differently`);
  }
  return binary(operands.builder, 'Add', x, y);
}

function elementwise(op: string) {
  return (operands: Operands): Value => unary(operands.builder, op, operands.value('x'));
}

function activation(name: string): Operation {
  return (operands) => activate(operands.builder, name, operands.value('x'));
}

/** Only with the number that the activation of that name has. */
function activationWith(name: string, parameter: string, number: number): Operation {
  return (operands) => {
    operands.allow(parameter, number);
    return activation(name)(operands);
  };
}

/** A function with one number, which a parameter of any of some names gives. */
function withAlpha(op: string, parameters: readonly string[], fallback: number): Operation {
  return (operands) => {
    const given = parameters.map((name) => operands.constant(name)).find((value) => value !== undefined);
    const alpha = given ?? fallback;
    if (typeof alpha !== 'number') throw operands.unsupported('with a slope that is not a number');
    return unary(operands.builder, op, operands.value('x'), { alpha: { float: alpha } });
  };
}

function withNumber(op: string, number: number): (operands: Operands) => Value {
  return (operands) => binary(operands.builder, op, operands.value('x'), scalar(operands.builder, number));
}

/** One where a comparison holds, else zero: everything is a float here. */
function comparison(op: string): Operation {
  return (operands) =>
    toFloat(operands.builder, binary(operands.builder, op, operands.value('x'), operands.value('y'), 'bool'));
}

const scaledLog =
  (base: number): Operation =>
  (operands) =>
    binary(operands.builder, 'Mul', elementwise('Log')(operands), scalar(operands.builder, 1 / Math.log(base)));

export const ELEMENTWISE_OPERATIONS: Record<string, Operation> = {
  add,
  subtract: pairwise('Sub'),
  multiply: pairwise('Mul'),
  divide: pairwise('Div'),
  maximum: pairwise('Max'),
  minimum: pairwise('Min'),
  power: pairwise('Pow'),
  greater: comparison('Greater'),
  greater_equal: comparison('GreaterOrEqual'),
  less: comparison('Less'),
  less_equal: comparison('LessOrEqual'),
  equal: comparison('Equal'),
  floor_divide: (operands) => unary(operands.builder, 'Floor', pairwise('Div')(operands)),
  squared_difference: (operands) => {
    const difference = pairwise('Sub')(operands);
    return binary(operands.builder, 'Mul', difference, difference);
  },
  bias_add: (operands) => {
    operands.allow('data_format', 'NHWC', 'channels_last');
    return pairwise('Add')(operands);
  },
  negative: elementwise('Neg'),
  abs: elementwise('Abs'),
  ceil: elementwise('Ceil'),
  floor: elementwise('Floor'),
  /** To the even number if two are as near, as ONNX does. */
  round: (operands) => {
    operands.allow('decimals', 0);
    return elementwise('Round')(operands);
  },
  exp: elementwise('Exp'),
  log: elementwise('Log'),
  log2: scaledLog(2),
  log10: scaledLog(10),
  log1p: (operands) => unary(operands.builder, 'Log', withNumber('Add', 1)(operands)),
  expm1: (operands) => binary(operands.builder, 'Sub', elementwise('Exp')(operands), scalar(operands.builder, 1)),
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
  hard_tanh: activation('hardtanh'),
  log_sigmoid: activation('logsigmoid'),
  tanh_shrink: activation('tanhshrink'),
  mish: activation('mish'),
  sparse_sigmoid: activation('sparsesigmoid'),
  soft_shrink: activationWith('softshrink', 'threshold', 0.5),
  hard_shrink: activationWith('hardshrink', 'threshold', 0.5),
  // Keras calls it b, as it calls the second operand of others.
  squareplus: activationWith('squareplus', 'y', 4),
  silu: activationWith('silu', 'beta', 1),
  gelu: (operands) => activation(operands.boolean('approximate') ? 'gelunew' : 'gelu')(operands),
  leaky_relu: withAlpha('LeakyRelu', ['negative_slope', 'alpha'], 0.2),
  elu: withAlpha('Elu', ['alpha'], 1),
  celu: withAlpha('Celu', ['alpha'], 1),
  clip: (operands) => {
    const [min, max] = [operands.constant('x_min'), operands.constant('x_max')];
    if (typeof min !== 'number' || typeof max !== 'number') throw operands.unsupported('without two numbers as bounds');
    return clip(operands.builder, operands.value('x'), min, max);
  },
  where: (operands) => {
    const { builder } = operands;
    const [condition, x, y] = ['condition', 'x', 'y'].map((name) => builder.channelsLast(operands.value(name))) as [
      Value,
      Value,
      Value,
    ];
    const flag = builder.emit('Cast', [condition], { ...condition, type: 'bool' }, { to: { int: 9 } });
    const shape = broadcastShapes(condition.shape, broadcastShapes(x.shape, y.shape));
    return builder.emit('Where', [flag, x, y], { shape });
  },
};
