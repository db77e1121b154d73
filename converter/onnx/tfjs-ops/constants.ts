import { UnsupportedOpError } from '../../errors.ts';
import type { Value } from '../builder.ts';
import { broadcastShapes } from '../emit/binary.ts';
import { BATCH, elementCount, type Tensor } from '../graph.ts';
import { inputAt, type NodeCall, type NodeConverter } from './node-converter.ts';

/**
 * Nodes that compute with constants only are computed here: TensorFlow's graphs compute shapes while they run, ONNX'
 * reshapes need them before. The batch's size is BATCH in a shape.
 */
export const CONSTANT_NODES: Record<string, NodeConverter> = {
  Shape: (call) => ints(call, inputAt(call, 0).shape, [inputAt(call, 0).shape.length]),
  Rank: (call) => ints(call, [inputAt(call, 0).shape.length], []),
};

function ints({ builder }: NodeCall, values: readonly number[], shape: readonly number[]): Value {
  return builder.constant({ type: 'int32', shape, data: Int32Array.from(values) });
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

/** The result of a node whose inputs are all constants, if it is one of those that occur around shapes and weights. */
export function computeConstant(call: NodeCall): Value | undefined {
  const tensors = call.inputs.map((input) => call.builder.tensorOf(input));
  if (tensors.length === 0 || !tensors.every((tensor) => tensor !== undefined)) return undefined;
  const [first, second] = tensors;
  if (!first) return undefined;
  const single = Object.hasOwn(SINGLE, call.op) ? SINGLE[call.op] : undefined;
  if (single) return call.builder.constant(mapTensor(first, single));
  const pairwise = Object.hasOwn(PAIRWISE, call.op) ? PAIRWISE[call.op] : undefined;
  if (pairwise && second) return call.builder.constant(combine(first, second, pairwise));
  const isVector = tensors.every((tensor) => tensor.shape.length <= 1);
  if (call.op === 'Cast') {
    const toFloat = call.attributes.type('DstT') === 'DT_FLOAT';
    const values = numbersOf(first);
    const data = toFloat ? Float32Array.from(values) : Int32Array.from(values, Math.trunc);
    return call.builder.constant({ type: toFloat ? 'float32' : 'int32', shape: first.shape, data });
  }
  if (!isVector) return undefined;
  switch (call.op) {
    case 'Pack':
      if (first.shape.length > 0) return undefined;
      return vector(call, first, tensors.flatMap(numbersOf));
    case 'ConcatV2':
      return vector(call, first, tensors.slice(0, -1).flatMap(numbersOf));
    case 'Fill': {
      const sizes = numbersOf(first).map((size) => (size === BATCH ? 1 : size));
      // A product with the number of images, which is not known.
      if (sizes.some((size) => size < 0)) throw new UnsupportedOpError(call.op, `node ${call.name}`);
      return call.builder.constant(fill(sizes, second ?? first));
    }
    case 'Prod': {
      const values = numbersOf(first);
      const shape = call.attributes.boolean('keep_dims') ? [1] : [];
      return call.builder.constant(withNumbers(first, shape, [values.reduce((a, b) => a * b, 1)]));
    }
    case 'GatherV2': {
      const values = numbersOf(first);
      if (call.attributes.number('batch_dims', 0) !== 0) return undefined;
      const picked = numbersOf(second ?? first).map((index) => values[index] ?? 0);
      return call.builder.constant(withNumbers(first, second?.shape ?? [], picked));
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

function vector({ builder }: NodeCall, like: Tensor, values: readonly number[]): Value {
  return builder.constant(withNumbers(like, [values.length], values));
}

function mapTensor(tensor: Tensor, change: (value: number) => number): Tensor {
  return withNumbers(tensor, tensor.shape, numbersOf(tensor).map(change));
}

function fill(sizes: readonly number[], value: Tensor): Tensor {
  return withNumbers(value, sizes, Array<number>(elementCount(sizes)).fill(Number(value.data[0] ?? 0)));
}

function combine(a: Tensor, b: Tensor, change: (a: number, b: number) => number): Tensor {
  const shape = broadcastShapes(a.shape, b.shape);
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
  const values = Array.from({ length: elementCount(shape) }, (_, i) =>
    change(left[at(a, i)] ?? 0, right[at(b, i)] ?? 0),
  );
  return withNumbers(a, shape, values);
}

function sliceVector(call: NodeCall, tensors: readonly Tensor[]): Value | undefined {
  const [values = [], begins = [], ends = [], steps = []] = tensors.map(numbersOf);
  const isSet = (name: string) => (call.attributes.number(name, 0) & 1) !== 0;
  const size = values.length;
  const at = (index: number) => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  const masks = ['ellipsis_mask', 'new_axis_mask'].map((name) => call.attributes.number(name, 0));
  if ((steps[0] ?? 1) !== 1 || begins.length !== 1 || masks.some((mask) => mask !== 0)) return undefined;
  const begin = isSet('begin_mask') ? 0 : at(begins[0] ?? 0);
  const [like] = tensors;
  if (!like) return undefined;
  if (isSet('shrink_axis_mask')) return call.builder.constant(withNumbers(like, [], [values[begin] ?? 0]));
  return vector(call, like, values.slice(begin, isSet('end_mask') ? size : at(ends[0] ?? size)));
}
