import { UnsupportedOpError } from '../../errors.ts';
import { type Attribute, floatTensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { binary } from './binary.ts';

/** One ONNX op on every element. */
export function unary(
  builder: GraphBuilder,
  op: string,
  input: Value,
  attributes: Record<string, Attribute> = {},
): Value {
  return builder.emit(op, [input], { ...input }, attributes);
}

/** Whole numbers and flags as float32. */
export function toFloat(builder: GraphBuilder, value: Value): Value {
  if (value.type === 'float32') return value;
  return builder.emit('Cast', [value], { ...value, type: 'float32' }, { to: { int: 1 } });
}

/** A float32 constant without dimensions. */
export function scalar(builder: GraphBuilder, value: number): Value {
  return builder.constant(floatTensor([], [value]));
}

/** Keeps every element between two bounds; the upper one may be absent. As in TensorFlow, the lower one wins if they are exchanged. */
export function clip(builder: GraphBuilder, input: Value, min: number, max?: number): Value {
  if (max !== undefined && min > max) return clip(builder, input, min, min);
  const bounds = [scalar(builder, min)];
  if (max !== undefined) bounds.push(scalar(builder, max));
  return builder.emit('Clip', [input, ...bounds], { ...input });
}

/** Softmax over the channels (or another axis in tfjs' order). */
export function softmax(builder: GraphBuilder, input: Value, axis = -1, op = 'Softmax'): Value {
  const plain = builder.channelsLast(input);
  return unary(builder, op, plain, { axis: { int: axis } });
}

function hardSigmoid(builder: GraphBuilder, input: Value, alpha: number): Value {
  return unary(builder, 'HardSigmoid', input, { alpha: { float: alpha }, beta: { float: 0.5 } });
}

const SELU = { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554805 } };

type Activation = (builder: GraphBuilder, input: Value) => Value;

const ACTIVATIONS: Record<string, Activation> = {
  linear: (_, input) => input,
  relu: (builder, input) => unary(builder, 'Relu', input),
  relu6: (builder, input) => clip(builder, input, 0, 6),
  sigmoid: (builder, input) => unary(builder, 'Sigmoid', input),
  hardsigmoid: (builder, input) => hardSigmoid(builder, input, 0.2),
  /** Keras 3's hard_sigmoid: relu6(x + 3) / 6. */
  relu6sigmoid: (builder, input) => hardSigmoid(builder, input, 1 / 6),
  softmax: (builder, input) => softmax(builder, input),
  logsoftmax: (builder, input) => softmax(builder, input, -1, 'LogSoftmax'),
  logsigmoid: (builder, input) => {
    const negative = unary(builder, 'Neg', input);
    return unary(builder, 'Neg', unary(builder, 'Softplus', negative));
  },
  softplus: (builder, input) => unary(builder, 'Softplus', input),
  softsign: (builder, input) => unary(builder, 'Softsign', input),
  tanh: (builder, input) => unary(builder, 'Tanh', input),
  tanhshrink: (builder, input) => binary(builder, 'Sub', input, unary(builder, 'Tanh', input)),
  hardtanh: (builder, input) => clip(builder, input, -1, 1),
  softshrink: (builder, input) => unary(builder, 'Shrink', input, { lambd: { float: 0.5 }, bias: { float: 0.5 } }),
  hardshrink: (builder, input) => unary(builder, 'Shrink', input, { lambd: { float: 0.5 }, bias: { float: 0 } }),
  sparsesigmoid: (builder, input) => hardSigmoid(builder, input, 0.5),
  squareplus: (builder, input) => {
    const square = binary(builder, 'Mul', input, input);
    const root = unary(builder, 'Sqrt', binary(builder, 'Add', square, scalar(builder, 4)));
    return binary(builder, 'Mul', binary(builder, 'Add', input, root), scalar(builder, 0.5));
  },
  celu: (builder, input) => unary(builder, 'Celu', input, { alpha: { float: 1 } }),
  exponential: (builder, input) => unary(builder, 'Exp', input),
  elu: (builder, input) => unary(builder, 'Elu', input, { alpha: { float: 1 } }),
  selu: (builder, input) => unary(builder, 'Selu', input, SELU),
  leakyrelu: (builder, input) => unary(builder, 'LeakyRelu', input, { alpha: { float: 0.2 } }),
  swish: (builder, input) => binary(builder, 'Mul', input, unary(builder, 'Sigmoid', input)),
  silu: (builder, input) => binary(builder, 'Mul', input, unary(builder, 'Sigmoid', input)),
  hardswish: (builder, input) => binary(builder, 'Mul', input, hardSigmoid(builder, input, 1 / 6)),
  hardsilu: (builder, input) => binary(builder, 'Mul', input, hardSigmoid(builder, input, 1 / 6)),
  mish: (builder, input) => binary(builder, 'Mul', input, unary(builder, 'Tanh', unary(builder, 'Softplus', input))),
  gelu: (builder, input) => {
    const error = unary(builder, 'Erf', binary(builder, 'Mul', input, scalar(builder, Math.SQRT1_2)));
    const half = binary(builder, 'Mul', input, scalar(builder, 0.5));
    return binary(builder, 'Mul', half, binary(builder, 'Add', error, scalar(builder, 1)));
  },
  gelunew: (builder, input) => {
    const cube = binary(builder, 'Mul', input, binary(builder, 'Mul', input, input));
    const inner = binary(builder, 'Add', input, binary(builder, 'Mul', cube, scalar(builder, 0.044715)));
    const tanh = unary(builder, 'Tanh', binary(builder, 'Mul', inner, scalar(builder, Math.sqrt(2 / Math.PI))));
    const half = binary(builder, 'Mul', input, scalar(builder, 0.5));
    return binary(builder, 'Mul', half, binary(builder, 'Add', tanh, scalar(builder, 1)));
  },
};

/**
 * An activation by the name that Keras or tfjs serializes ("hard_sigmoid", "hardSigmoid", …).
 * @throws UnsupportedOpError
 */
export function activate(builder: GraphBuilder, name: string, input: Value): Value {
  const key = name.replaceAll('_', '').toLowerCase();
  const activation = Object.hasOwn(ACTIVATIONS, key) ? ACTIVATIONS[key] : undefined;
  if (!activation) throw new UnsupportedOpError(`activation ${name}`, 'no such activation is known');
  return activation(builder, input);
}
