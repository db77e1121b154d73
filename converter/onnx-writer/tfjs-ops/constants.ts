import { UnsupportedOpError } from '../../errors.ts';
import { broadcastShapes } from '../emit/binary.ts';
import { elementCount, type Tensor } from '../graph/graph.ts';
import type { Value } from '../graph/graph-builder.ts';
import { inputAt, type NodeCall, type NodeConverter } from './node-converter.ts';

/**
 * Nodes that compute with constants only are computed here: TensorFlow's graphs compute shapes while they run, ONNX'
 * reshapes need them before. The number of images is not known then: a size below zero is a multiple of it.
 */
export const CONSTANT_NODES: Record<string, NodeConverter> = {
  Shape: (call) => ints(call, inputAt(call, 0).shape, [inputAt(call, 0).shape.length]),
  Rank: (call) => ints(call, [inputAt(call, 0).shape.length], []),
  Size: (call) => ints(call, [elementCount(inputAt(call, 0).shape)], []),
};

function ints({ builder }: NodeCall, values: readonly number[], shape: readonly number[]): Value {
  return builder.constant(counted({ type: 'int32', shape, data: Int32Array.from(values) }));
}

/** Of numbers computed from sizes: whether they still depend on the number of images. */
function counted(tensor: Tensor): Tensor {
  return tensor.data.some((value) => value < 0) ? { ...tensor, countsImages: true } : tensor;
}

const PAIRWISE: Record<string, (a: number, b: number) => number> = {
  Add: (a, b) => a + b,
  AddV2: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  RealDiv: (a, b) => a / b,
  FloorDiv: (a, b) => Math.floor(a / b),
  Maximum: Math.max,
  Minimum: Math.min,
};

const SINGLE: Record<string, (value: number) => number> = {
  Neg: (value) => -value,
  Rsqrt: (value) => 1 / Math.sqrt(value),
  Sqrt: Math.sqrt,
  Square: (value) => value * value,
  Reciprocal: (value) => 1 / value,
};

/** What takes sizes that depend on the number of images, or passes them on, and as which of its inputs. */
const TAKES_SIZES = new Map<string, number[]>([
  ['Reshape', [0, 1]],
  ['Fill', [0]],
  ['BroadcastTo', [1]],
  ['Tile', [1]],
  ['Slice', [2]],
  ['Conv2DBackpropInput', [0]],
  ['ExpandDims', [0]],
  ['Squeeze', [0]],
  ['Identity', [0]],
  ['Shape', [0]],
  ['Rank', [0]],
  ['Size', [0]],
]);
/** What computes other sizes of them: of all inputs, or of the first. */
const OF_SIZES = new Set(['Mul', 'Pack', 'ConcatV2']);
const OF_FIRST_SIZES = new Set(['Prod', 'Cast', 'GatherV2', 'StridedSlice']);
/** Numbers that a node may make of fewer ones, as a mask is made. */
const MAX_NUMBERS = 2 ** 22;

/**
 * The result of a node whose inputs are all constants, if it is one of those that occur around shapes and weights.
 * @throws UnsupportedOpError for a calculation with the number of images that is more than a shape
 */
export function computeConstant(call: NodeCall): Value | undefined {
  const inputs = call.inputs.map((input) => call.builder.tensorOf(input));
  const counting = inputs.flatMap((tensor, position) => (tensor?.countsImages ? [position] : []));
  const countsImages = counting.length > 0;
  const taken = TAKES_SIZES.get(call.op);
  if (countsImages && taken && counting.every((position) => taken.includes(position))) return undefined;
  const tensors = inputs.filter((tensor) => tensor !== undefined);
  const isKnown = tensors.length > 0 && tensors.length === inputs.length;
  const isSize = OF_SIZES.has(call.op) || (OF_FIRST_SIZES.has(call.op) && counting.join() === '0');
  const result = isKnown && (isSize || !countsImages) ? compute(call, tensors, countsImages) : undefined;
  if (countsImages && result === undefined) {
    throw new UnsupportedOpError(call.op, `node ${call.name}: it computes with the number of images`);
  }
  return result && call.builder.constant(countsImages ? counted(result) : result);
}

function compute(call: NodeCall, tensors: readonly Tensor[], countsImages: boolean): Tensor | undefined {
  const [first, second] = tensors;
  if (!first) return undefined;
  const single = Object.hasOwn(SINGLE, call.op) ? SINGLE[call.op] : undefined;
  if (single) return withNumbers(first, first.shape, numbersOf(first).map(single));
  const pairwise = Object.hasOwn(PAIRWISE, call.op) ? PAIRWISE[call.op] : undefined;
  if (pairwise && second) {
    // Below zero both would be a square of the number of images.
    const isSquare = countsImages && tensors.every(({ data }) => data.some((value) => value < 0));
    return isSquare ? undefined : combine(call, first, second, pairwise);
  }
  if (call.op === 'Cast') {
    const to = call.attributes.type('DstT');
    const toFloat = to === 'DT_FLOAT' || to === 'DT_HALF';
    if (toFloat ? countsImages : to !== 'DT_INT32' && to !== 'DT_INT64') return undefined;
    const values = numbersOf(first);
    const data = toFloat ? Float32Array.from(values) : Int32Array.from(values, Math.trunc);
    return { type: toFloat ? 'float32' : 'int32', shape: first.shape, data };
  }
  return tensors.every((tensor) => tensor.shape.length <= 1) ? computeVector(call, tensors) : undefined;
}

function computeVector(call: NodeCall, tensors: readonly Tensor[]): Tensor | undefined {
  const [first, second] = tensors;
  if (!first) return undefined;
  switch (call.op) {
    case 'Pack':
      if (first.shape.length > 0) return undefined;
      return vector(first, tensors.flatMap(numbersOf));
    case 'ConcatV2':
      return vector(first, tensors.slice(0, -1).flatMap(numbersOf));
    case 'Fill': {
      const sizes = numbersOf(first);
      const count = elementCount(sizes);
      if (sizes.some((size) => size < 0) || count > MAX_NUMBERS) return undefined;
      return withNumbers(second ?? first, sizes, Array<number>(count).fill(Number(second?.data[0] ?? 0)));
    }
    case 'Prod': {
      const values = numbersOf(first);
      if (values.filter((value) => value < 0).length > 1) return undefined;
      const shape = call.attributes.boolean('keep_dims') ? [1] : [];
      return withNumbers(first, shape, [values.reduce((a, b) => a * b, 1)]);
    }
    case 'GatherV2': {
      const values = numbersOf(first);
      if (call.attributes.number('batch_dims', 0) !== 0) return undefined;
      const picked = numbersOf(second ?? first).map((index) => values[index] ?? 0);
      return withNumbers(first, second?.shape ?? [], picked);
    }
    case 'StridedSlice':
      return sliceVector(call, tensors);
    default:
      return undefined;
  }
}

function numbersOf(tensor: Tensor): number[] {
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}

function withNumbers(like: Tensor, shape: readonly number[], values: readonly number[]): Tensor {
  const data = like.type === 'float32' ? Float32Array.from(values) : Int32Array.from(values);
  return { type: like.type === 'float32' ? 'float32' : 'int32', shape, data };
}

function vector(like: Tensor, values: readonly number[]): Tensor {
  return withNumbers(like, [values.length], values);
}

function combine(call: NodeCall, a: Tensor, b: Tensor, change: (a: number, b: number) => number): Tensor {
  const shape = broadcastShapes(a.shape, b.shape);
  const count = elementCount(shape);
  if (count > Math.max(a.data.length, b.data.length, MAX_NUMBERS)) {
    throw new UnsupportedOpError(call.op, `node ${call.name}: it makes ${count} numbers of constants`);
  }
  const [left, right] = [numbersOf(a), numbersOf(b)];
  const at = (tensor: Tensor, index: number): number => {
    let offset = 0;
    let stride = 1;
    let rest = index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1;
      const own = tensor.shape[axis - shape.length + tensor.shape.length] ?? 1;
      if (own > 1) offset += (rest % size) * stride;
      stride *= own;
      rest = Math.floor(rest / size);
    }
    return offset;
  };
  const values = Array.from({ length: count }, (_, i) => change(left[at(a, i)] ?? 0, right[at(b, i)] ?? 0));
  return withNumbers(a, shape, values);
}

function sliceVector(call: NodeCall, tensors: readonly Tensor[]): Tensor | undefined {
  const [values = [], begins = [], ends = [], steps = []] = tensors.map(numbersOf);
  const isSet = (name: string) => (call.attributes.number(name, 0) & 1) !== 0;
  const size = values.length;
  const at = (index: number) => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  const masks = ['ellipsis_mask', 'new_axis_mask'].map((name) => call.attributes.number(name, 0));
  if ((steps[0] ?? 1) !== 1 || begins.length !== 1 || masks.some((mask) => mask !== 0)) return undefined;
  const begin = isSet('begin_mask') ? 0 : at(begins[0] ?? 0);
  const [like] = tensors;
  if (!like) return undefined;
  if (isSet('shrink_axis_mask')) return withNumbers(like, [], [values[begin] ?? 0]);
  return vector(like, values.slice(begin, isSet('end_mask') ? size : at(ends[0] ?? size)));
}
