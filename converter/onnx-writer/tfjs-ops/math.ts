import { UnsupportedOpError } from '../../errors.ts';
import { binary, broadcastShapes, sameOrder } from '../emit/binary.ts';
import { dense } from '../emit/dense.ts';
import { activate, clip, scalar, softmax, toFloat, unary } from '../emit/named-activations.ts';
import { transpose } from '../emit/shape.ts';
import { type Tensor, transposeTensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { applyFused } from './convolution.ts';
import {
  allInputs,
  inputAt,
  type NodeCall,
  type NodeConverter,
  numbersAt,
  requireChannelsLast,
} from './node-converter.ts';

function elementwise(op: string): NodeConverter {
  return (call) => unary(call.builder, op, inputAt(call, 0));
}

function pairwise(op: string): NodeConverter {
  return (call) => binary(call.builder, op, inputAt(call, 0), inputAt(call, 1));
}

function activation(name: string): NodeConverter {
  return (call) => activate(call.builder, name, inputAt(call, 0));
}

const matMul: NodeConverter = (call) => {
  const { builder, attributes } = call;
  // What is for gradients only.
  attributes.ignore('grad_a', 'grad_b', 'grad_x', 'grad_y');
  const turnA = attributes.boolean('transpose_a') || attributes.boolean('adj_x');
  const turnB = attributes.boolean('transpose_b') || attributes.boolean('adj_y');
  const a = turnA ? turnLast(builder, inputAt(call, 0)) : inputAt(call, 0);
  const b = turnB ? turnLast(builder, inputAt(call, 1)) : inputAt(call, 1);
  const kernel = builder.tensorOf(b);
  if (kernel?.shape.length === 2 && a.shape.length === 2) {
    return applyFused(call, dense(builder, a, kernel, undefined), 2);
  }
  const [left, right] = [builder.channelsLast(a), builder.channelsLast(b)];
  const leading = broadcastShapes(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const shape = [...leading, left.shape.at(-2) ?? 1, right.shape.at(-1) ?? 1];
  return applyFused(call, builder.emit('MatMul', [left, right], { shape }), 2);
};

function turnLast(builder: GraphBuilder, value: Value): Value {
  const order = value.shape.map((_, axis) => axis);
  order.push(...order.splice(-2).reverse());
  const tensor: Tensor | undefined = builder.tensorOf(value);
  return tensor ? builder.constant(transposeTensor(tensor, order)) : transpose(builder, value, order);
}

const addAll: NodeConverter = (call) =>
  allInputs(call)
    .slice(1)
    .reduce((sum, input) => binary(call.builder, 'Add', sum, input), inputAt(call, 0));

const prelu: NodeConverter = (call: NodeCall) => {
  const [input, slope] = sameOrder(call.builder, inputAt(call, 0), inputAt(call, 1));
  return call.builder.emit('PRelu', [input, slope], { ...input });
};

const cast: NodeConverter = (call) => {
  const to = call.attributes.type('DstT');
  const input = inputAt(call, 0);
  if (to === 'DT_FLOAT' || to === 'DT_HALF') return toFloat(call.builder, input);
  if (to === 'DT_INT32' || to === 'DT_INT64') {
    return call.builder.emit('Cast', [input], { ...input, type: 'int32' }, { to: { int: 6 } });
  }
  throw new UnsupportedOpError(call.op, `to ${to}, node ${call.name}`);
};

/** @throws UnsupportedOpError for a bound of each element, which only the raw op has */
function boundAt(call: NodeCall, position: number): number {
  const [bound, ...others] = numbersAt(call, position);
  if (bound === undefined || others.length > 0) {
    throw new UnsupportedOpError(call.op, `node ${call.name}: with bounds of other than one number`);
  }
  return bound;
}

export const MATH_NODES: Record<string, NodeConverter> = {
  Add: pairwise('Add'),
  AddV2: pairwise('Add'),
  BiasAdd: (call) => {
    requireChannelsLast(call);
    return pairwise('Add')(call);
  },
  Sub: pairwise('Sub'),
  Mul: pairwise('Mul'),
  Div: pairwise('Div'),
  RealDiv: pairwise('Div'),
  Maximum: pairwise('Max'),
  Minimum: pairwise('Min'),
  Pow: pairwise('Pow'),
  FloorDiv: (call) => unary(call.builder, 'Floor', pairwise('Div')(call) as Value),
  SquaredDifference: (call) => {
    const difference = pairwise('Sub')(call) as Value;
    return binary(call.builder, 'Mul', difference, difference);
  },
  AddN: addAll,
  MatMul: matMul,
  _FusedMatMul: matMul,
  BatchMatMul: matMul,
  BatchMatMulV2: matMul,
  Prelu: prelu,
  Cast: cast,
  Abs: elementwise('Abs'),
  Ceil: elementwise('Ceil'),
  Cos: elementwise('Cos'),
  Erf: elementwise('Erf'),
  Exp: elementwise('Exp'),
  Floor: elementwise('Floor'),
  Log: elementwise('Log'),
  Neg: elementwise('Neg'),
  Reciprocal: elementwise('Reciprocal'),
  Round: elementwise('Round'),
  Sign: elementwise('Sign'),
  Sin: elementwise('Sin'),
  Sqrt: elementwise('Sqrt'),
  Rsqrt: (call) => unary(call.builder, 'Reciprocal', unary(call.builder, 'Sqrt', inputAt(call, 0))),
  Square: (call) => binary(call.builder, 'Mul', inputAt(call, 0), inputAt(call, 0)),
  Relu: activation('relu'),
  Relu6: activation('relu6'),
  Elu: activation('elu'),
  Selu: activation('selu'),
  Sigmoid: activation('sigmoid'),
  Softplus: activation('softplus'),
  Tanh: activation('tanh'),
  LeakyRelu: (call) => {
    const alpha = call.attributes.number('alpha', 0.2);
    return unary(call.builder, 'LeakyRelu', inputAt(call, 0), { alpha: { float: alpha } });
  },
  ClipByValue: (call) => clip(call.builder, inputAt(call, 0), boundAt(call, 1), boundAt(call, 2)),
  Expm1: (call) => binary(call.builder, 'Sub', unary(call.builder, 'Exp', inputAt(call, 0)), scalar(call.builder, 1)),
  Softmax: (call) => softmax(call.builder, inputAt(call, 0)),
  LogSoftmax: (call) => softmax(call.builder, inputAt(call, 0), -1, 'LogSoftmax'),
  Log1p: (call) => {
    return unary(call.builder, 'Log', binary(call.builder, 'Add', inputAt(call, 0), scalar(call.builder, 1)));
  },
};
