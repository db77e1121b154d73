import { UnsupportedOpError } from '../../errors.ts';
import { binary, sameOrder } from '../emit/binary.ts';
import { convolution, depthwiseConvolution, transposedConvolution } from '../emit/conv.ts';
import { batchNormalization } from '../emit/dense.ts';
import { activate, unary } from '../emit/named-activations.ts';
import { pool } from '../emit/pool.ts';
import type { Window } from '../emit/window.ts';
import { BATCH, elementCount, floatTensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import {
  constantAt,
  inputAt,
  type NodeCall,
  type NodeConverter,
  numbersAt,
  requireChannelsLast,
  sizesAt,
} from './node-converter.ts';

/** Rows and columns of an attribute that has a number for each of [batch, height, width, channels]. */
function pairOf(call: NodeCall, name: string): readonly [number, number] {
  const [batch = 1, rows = 1, columns = 1, channels = 1] = call.attributes.numbers(name, [1, 1, 1, 1]);
  if (batch !== 1 || channels !== 1) throw new UnsupportedOpError(call.op, `${name} of channels, node ${call.name}`);
  return [rows, columns];
}

function paddingOf(call: NodeCall): Window['padding'] {
  const padding = call.attributes.text('padding', 'valid');
  if (padding === 'same' || padding === 'valid') return padding;
  if (padding !== 'explicit') throw new UnsupportedOpError(call.op, `padding ${padding}, node ${call.name}`);
  const sides = call.attributes.numbers('explicit_paddings', []);
  return { top: sides[2] ?? 0, bottom: sides[3] ?? 0, left: sides[4] ?? 0, right: sides[5] ?? 0 };
}

function windowOf(call: NodeCall) {
  requireChannelsLast(call);
  const kernels = call.attributes.text('filter_format', 'hwio');
  if (kernels !== 'hwio') throw new UnsupportedOpError(call.op, `filter_format ${kernels}, node ${call.name}`);
  return { strides: pairOf(call, 'strides'), dilations: pairOf(call, 'dilations'), padding: paddingOf(call) };
}

/** A bias and an activation that the converter merged into the node before them. Their inputs follow `position`. */
export function applyFused(call: NodeCall, result: Value, position: number): Value {
  const { builder } = call;
  // Each belongs to one of the fused steps only, and is written with all of them.
  call.attributes.ignore('epsilon', 'leakyrelu_alpha', 'explicit_paddings');
  let value = result;
  let next = position;
  for (const step of call.attributes.texts('fused_ops')) {
    switch (step) {
      case 'biasadd':
        value = binary(builder, 'Add', value, inputAt(call, next++));
        break;
      // In the place of a bias, for a depthwise convolution that has none.
      case 'noop':
        break;
      case 'prelu': {
        const [input, slope] = sameOrder(builder, value, inputAt(call, next++));
        value = builder.emit('PRelu', [input, slope], { ...input });
        break;
      }
      case 'leakyrelu': {
        const alpha = call.attributes.number('leakyrelu_alpha', 0.2);
        value = unary(builder, 'LeakyRelu', value, { alpha: { float: alpha } });
        break;
      }
      case 'relu':
      case 'relu6':
      case 'elu':
      case 'sigmoid':
      case 'tanh':
      case 'linear':
        value = activate(builder, step, value);
        break;
      case '_fusedhardswish':
        value = activate(builder, 'hard_swish', value);
        break;
      case 'geluexact':
        value = activate(builder, 'gelu', value);
        break;
      case 'geluapproximate':
        value = activate(builder, 'gelu_new', value);
        break;
      default:
        throw new UnsupportedOpError(call.op, `fused with ${step}, node ${call.name}`);
    }
  }
  return value;
}

/** @param imageAt the place of the image among the node's inputs */
function operandsOf(call: NodeCall, imageAt: number) {
  return { input: inputAt(call, imageAt), kernel: constantAt(call, 1), window: windowOf(call) };
}

const conv: NodeConverter = (call) => applyFused(call, convolution(call.builder, operandsOf(call, 0)), 2);

const depthwise: NodeConverter = (call) => applyFused(call, depthwiseConvolution(call.builder, operandsOf(call, 0)), 2);

const backpropInput: NodeConverter = (call) => {
  const [, height = 0, width = 0] = sizesAt(call, 0).sizes;
  if (!(height > 0 && width > 0)) throw new UnsupportedOpError(call.op, `node ${call.name}: ${height} x ${width}`);
  return transposedConvolution(call.builder, operandsOf(call, 2), { height, width });
};

const batchNorm: NodeConverter = (call) => {
  call.attributes.ignore('exponential_avg_factor');
  if (call.attributes.boolean('is_training')) return rowNormalization(call);
  requireChannelsLast(call);
  const numbers = (position: number) => Float32Array.from(numbersAt(call, position));
  return batchNormalization(call.builder, inputAt(call, 0), {
    gamma: numbers(1),
    beta: numbers(2),
    mean: numbers(3),
    variance: numbers(4),
    // TensorFlow's default, which a file may leave out; tfjs has another.
    epsilon: call.attributes.number('epsilon', 1e-4),
  });
};

/**
 * A batch normalization in training normalizes with the statistics of what it is given. Keras 2 writes LayerNormalization as one, of a single
 * image [1, rows, numbers, 1] whose channels are the rows of all images.
 * @throws UnsupportedOpError if the statistics are of several images
 */
function rowNormalization(call: NodeCall): Value {
  const { builder, op, name, attributes } = call;
  const input = builder.channelsLast(inputAt(call, 0));
  const [batch = 0, , ...rest] = input.shape;
  const isOne = batch === 1 || (batch === BATCH && call.isSingle);
  if (
    !isOne ||
    input.shape.length !== 4 ||
    rest.some((size) => size < 0) ||
    attributes.text('data_format', 'nhwc') !== 'nchw'
  ) {
    throw new UnsupportedOpError(op, `in training, node ${name}`);
  }
  // A mean and a variance are given for other uses of this op, and are empty.
  for (const position of [3, 4]) call.read.add(position);
  const fill = (value: number) => builder.constant(floatTensor(rest, new Float32Array(elementCount(rest)).fill(value)));
  const epsilon = { float: attributes.number('epsilon', 1e-4) };
  const normal = builder.emit(
    'LayerNormalization',
    [input, fill(1), fill(0)],
    { shape: input.shape },
    { axis: { int: 2 }, epsilon },
  );
  const perRow = (value: Value) => builder.reshape(value, [1, value.shape[0] ?? 1, 1, 1]);
  const [scale, offset] = [inputAt(call, 1), inputAt(call, 2)];
  const scaled = isUniform(builder, scale, 1) ? normal : binary(builder, 'Mul', normal, perRow(scale));
  return isUniform(builder, offset, 0) ? scaled : binary(builder, 'Add', scaled, perRow(offset));
}

function isUniform(builder: GraphBuilder, value: Value, expected: number): boolean {
  const tensor = builder.tensorOf(value);
  return tensor ? Array.from(tensor.data, Number).every((number) => number === expected) : value.uniform === expected;
}

function windowPool(kind: 'max' | 'average'): NodeConverter {
  return (call) => {
    requireChannelsLast(call);
    if (pairOf(call, 'dilations').some((rate) => rate !== 1)) {
      throw new UnsupportedOpError(call.op, `with dilations, node ${call.name}`);
    }
    return pool(call.builder, kind, inputAt(call, 0), {
      size: pairOf(call, 'ksize'),
      strides: pairOf(call, 'strides'),
      dilations: [1, 1],
      padding: paddingOf(call),
    });
  };
}

/** Divides by the sum of squares of neighboring channels, as AlexNet and GoogLeNet do. */
const localResponse: NodeConverter = (call) => {
  const { builder, attributes } = call;
  const image = builder.channelsFirst(inputAt(call, 0));
  if (image.shape.length !== 4) throw new UnsupportedOpError(call.op, `node ${call.name}: not of images`);
  const size = 2 * attributes.number('depth_radius', 5) + 1;
  return builder.emit(
    'LRN',
    [image],
    { ...image },
    {
      size: { int: size },
      // ONNX takes the mean of the squares, TensorFlow their sum.
      alpha: { float: attributes.number('alpha', 1) * size },
      beta: { float: attributes.number('beta', 0.5) },
      bias: { float: attributes.number('bias', 1) },
    },
  );
};

export const CONVOLUTION_NODES: Record<string, NodeConverter> = {
  Conv2D: conv,
  _FusedConv2D: conv,
  DepthwiseConv2d: depthwise,
  DepthwiseConv2dNative: depthwise,
  FusedDepthwiseConv2dNative: depthwise,
  Conv2DBackpropInput: backpropInput,
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
  LRN: localResponse,
  MaxPool: windowPool('max'),
  AvgPool: windowPool('average'),
};
