import { ModelError, UnsupportedOpError } from '../../errors.ts';
import { imageSize } from '../emit/conv.ts';
import { toFloat } from '../emit/named-activations.ts';
import { padImage } from '../emit/pool.ts';
import { resizeImage } from '../emit/resize.ts';
import { concat, resolveRows, sizesOperand, slice, transpose } from '../emit/shape.ts';
import { BATCH, int64Tensor } from '../graph/graph.ts';
import type { Value } from '../graph/graph-builder.ts';
import { newSizesAt } from './creation.ts';
import {
  allInputs,
  inputAt,
  type NodeCall,
  type NodeConverter,
  numbersAt,
  requireChannelsLast,
  sizesAt,
} from './node-converter.ts';

const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const reshape: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const { sizes, countsImages } = sizesAt(call, 1);
  return call.builder.reshape(input, resolveRows(input.shape, sizes, countsImages));
};

const squeeze: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const rank = input.shape.length;
  const named = call.attributes.numbers('squeeze_dims', call.attributes.numbers('axis', []));
  const axes = named.map((axis) => axisOf(axis, rank));
  const drop = (size: number, axis: number) => (axes.length > 0 ? axes.includes(axis) : size === 1);
  return call.builder.reshape(
    input,
    input.shape.filter((size, axis) => !drop(size, axis)),
  );
};

const expandDims: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const axis = axisOf(numbersAt(call, 1)[0] ?? 0, input.shape.length + 1);
  return call.builder.reshape(input, input.shape.toSpliced(axis, 0, 1));
};

const pad: NodeConverter = (call) => {
  const { builder } = call;
  const input = inputAt(call, 0);
  const sides = numbersAt(call, 1);
  const mode = call.op === 'MirrorPad' ? call.attributes.text('mode', 'reflect') : 'constant';
  if (mode === 'symmetric') throw new UnsupportedOpError(call.op, `symmetric, node ${call.name}`);
  const fill = call.op === 'PadV2' ? (numbersAt(call, 2)[0] ?? 0) : 0;
  const [b0, b1, top = 0, bottom = 0, left = 0, right = 0, c0, c1] = sides;
  if (mode === 'constant' && input.type === 'float32' && input.shape.length === 4 && !b0 && !b1 && !c0 && !c1) {
    return padImage(builder, input, { top, bottom, left, right }, fill);
  }
  const plain = builder.channelsLast(input);
  const begins = plain.shape.map((_, axis) => sides[axis * 2] ?? 0);
  const ends = plain.shape.map((_, axis) => sides[axis * 2 + 1] ?? 0);
  const shape = plain.shape.map((size, axis) => {
    const added = (begins[axis] ?? 0) + (ends[axis] ?? 0);
    if (size >= 0) return size + added;
    if (begins[axis] || ends[axis]) throw new UnsupportedOpError(call.op, `of the batch, node ${call.name}`);
    return size;
  });
  const inputs = [plain, builder.constant(int64Tensor([...begins, ...ends]))];
  if (mode === 'constant') {
    if (plain.type !== 'float32' && plain.type !== 'int32')
      throw new UnsupportedOpError(call.op, `node ${call.name}, of ${plain.type}`);
    const data = plain.type === 'int32' ? Int32Array.of(fill) : Float32Array.of(fill);
    inputs.push(builder.constant({ type: plain.type, shape: [], data }));
  }
  return builder.emit('Pad', inputs, { shape, type: plain.type }, { mode: { text: mode } });
};

const concatenate: NodeConverter = (call) => {
  const inputs = allInputs(call);
  const values = call.op === 'Concat' ? inputs.slice(1) : inputs.slice(0, -1);
  const axis = numbersAt(call, call.op === 'Concat' ? 0 : call.inputs.length - 1)[0] ?? 0;
  return concat(call.builder, values, axis);
};

const pack: NodeConverter = (call) => {
  const axis = axisOf(call.attributes.number('axis', 0), inputAt(call, 0).shape.length + 1);
  const parts = allInputs(call).map((input) => call.builder.reshape(input, input.shape.toSpliced(axis, 0, 1)));
  return concat(call.builder, parts, axis);
};

const reverse: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const parts = numbersAt(call, 1).map((axis) => {
    const at = axisOf(axis, input.shape.length);
    const size = input.shape[at] ?? 0;
    if (size < 0) throw new UnsupportedOpError(call.op, `of the batch, node ${call.name}`);
    return { axis: at, begin: size - 1, end: -1, step: -1 };
  });
  return slice(call.builder, input, parts);
};

/** Cuts a value along an axis into parts of the given sizes. */
function cut(call: NodeCall, input: Value, axis: number, sizes: readonly number[]): Value[] {
  if ((input.shape[axis] ?? 0) < 0) throw new UnsupportedOpError(call.op, `cuts the batch, node ${call.name}`);
  let begin = 0;
  return sizes.map((size) => {
    const part = slice(call.builder, input, [{ axis, begin, end: begin + size }]);
    begin += size;
    return part;
  });
}

const split: NodeConverter = (call) => {
  const isEven = call.op === 'Split';
  const input = inputAt(call, isEven ? 1 : 0);
  const axis = axisOf(numbersAt(call, isEven ? 0 : 2)[0] ?? 0, input.shape.length);
  const total = input.shape[axis] ?? 0;
  if (isEven) {
    const count = call.attributes.number('num_split', 1);
    return cut(call, input, axis, Array<number>(count).fill(total / count));
  }
  const named = numbersAt(call, 1);
  const rest = total - named.filter((size) => size >= 0).reduce((a, b) => a + b, 0);
  return cut(
    call,
    input,
    axis,
    named.map((size) => (size < 0 ? rest : size)),
  );
};

const unpack: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const axis = axisOf(call.attributes.number('axis', 0), input.shape.length);
  const parts = cut(call, input, axis, Array<number>(Math.max(input.shape[axis] ?? 0, 0)).fill(1));
  return parts.map((part) => call.builder.reshape(part, part.shape.toSpliced(axis, 1)));
};

const sliceNode: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const begins = numbersAt(call, 1);
  const { sizes } = sizesAt(call, 2);
  const parts = input.shape.flatMap((size, axis) => {
    const begin = begins[axis] ?? 0;
    const count = sizes[axis] ?? -1;
    const whole = begin === 0 && (count < 0 || count === size);
    if (!whole && size < 0) throw new UnsupportedOpError(call.op, `cuts the batch, node ${call.name}`);
    return whole ? [] : [{ axis, begin, end: count < 0 ? size : begin + count }];
  });
  return slice(call.builder, input, parts);
};

const stridedSlice: NodeConverter = (call) => {
  const input = inputAt(call, 0);
  const [begins, ends, steps] = [numbersAt(call, 1), numbersAt(call, 2), numbersAt(call, 3)];
  const mask = (name: string) => call.attributes.number(name, 0);
  if (mask('ellipsis_mask') !== 0 || mask('new_axis_mask') !== 0) {
    throw new UnsupportedOpError(call.op, `with an ellipsis or a new axis, node ${call.name}`);
  }
  const isSet = (name: string, axis: number) => (mask(name) & (1 << axis)) !== 0;
  const shrunk = new Set<number>();
  const parts = input.shape.flatMap((size, axis) => {
    const step = steps[axis] ?? 1;
    const shrink = axis < begins.length && isSet('shrink_axis_mask', axis);
    const openBegin = axis >= begins.length || (!shrink && isSet('begin_mask', axis));
    const openEnd = axis >= ends.length || (!shrink && isSet('end_mask', axis));
    if (openBegin && openEnd && step === 1) return [];
    if (size < 0) throw new UnsupportedOpError(call.op, `cuts the batch, node ${call.name}`);
    const clamp = (value: number) => {
      const at = value < 0 ? value + size : value;
      return step > 0 ? Math.min(Math.max(at, 0), size) : Math.min(Math.max(at, -1), size - 1);
    };
    const begin = openBegin ? (step > 0 ? 0 : size - 1) : clamp(begins[axis] ?? 0);
    if (shrink) {
      shrunk.add(axis);
      return [{ axis, begin, end: begin + 1 }];
    }
    return [{ axis, begin, end: openEnd ? (step > 0 ? size : -1) : clamp(ends[axis] ?? 0), step }];
  });
  const result = slice(call.builder, input, parts);
  if (shrunk.size === 0) return result;
  return call.builder.reshape(
    result,
    result.shape.filter((_, axis) => !shrunk.has(axis)),
  );
};

const gather: NodeConverter = (call) => {
  const { builder } = call;
  const batchDims = call.attributes.number('batch_dims', 0);
  if (batchDims !== 0) throw new UnsupportedOpError(call.op, `batch_dims ${batchDims}, node ${call.name}`);
  call.attributes.ignore('validate_indices');
  const plain = builder.channelsLast(inputAt(call, 0));
  const axis = call.op === 'GatherV2' ? axisOf(numbersAt(call, 2)[0] ?? 0, plain.shape.length) : 0;
  const indices = inputAt(call, 1);
  const shape = plain.shape.toSpliced(axis, 1, ...indices.shape);
  return builder.emit('Gather', [plain, indices], { shape, type: plain.type }, { axis: { int: axis } });
};

const tile: NodeConverter = (call) => {
  const plain = call.builder.channelsLast(inputAt(call, 0));
  const times = newSizesAt(call, 1);
  if (plain.shape[0] === BATCH && times[0] !== 1)
    throw new UnsupportedOpError(call.op, `of the batch, node ${call.name}`);
  const shape = plain.shape.map((size, axis) => (size === BATCH ? size : size * (times[axis] ?? 1)));
  return call.builder.emit('Tile', [plain, sizesOperand(call.builder, times)], { shape, type: plain.type });
};

function resize(kind: 'nearest' | 'bilinear'): NodeConverter {
  return (call) => {
    const [height, width] = numbersAt(call, 1);
    if (!height || !width) throw new ModelError('TOPOLOGY_INVALID', `node ${call.name}: size of a resize`);
    const input = inputAt(call, 0);
    // Of whole numbers, TensorFlow interpolates floats.
    const image = kind === 'bilinear' ? toFloat(call.builder, input) : input;
    return resizeImage(call.builder, image, [height, width], kind, {
      alignCorners: call.attributes.boolean('align_corners'),
      halfPixelCenters: call.attributes.boolean('half_pixel_centers'),
    });
  };
}

const depthToSpace: NodeConverter = (call) => {
  requireChannelsLast(call);
  const { batch, height, width, channels } = imageSize(inputAt(call, 0));
  const block = call.attributes.number('block_size', 2);
  return call.builder.emit(
    'DepthToSpace',
    [call.builder.channelsFirst(inputAt(call, 0))],
    { shape: [batch, height * block, width * block, channels / (block * block)], channelsFirst: true },
    { blocksize: { int: block }, mode: { text: 'DCR' } },
  );
};

const identity: NodeConverter = (call) => {
  // CheckNumerics' message, EnsureShape's shape.
  call.attributes.ignore('message', 'shape');
  return inputAt(call, 0);
};

export const SHAPE_NODES: Record<string, NodeConverter> = {
  Identity: identity,
  StopGradient: identity,
  Snapshot: identity,
  CheckNumerics: identity,
  EnsureShape: identity,
  IdentityN: allInputs,
  Reshape: reshape,
  Squeeze: squeeze,
  ExpandDims: expandDims,
  Pad: pad,
  PadV2: pad,
  MirrorPad: pad,
  Concat: concatenate,
  ConcatV2: concatenate,
  Pack: pack,
  Unpack: unpack,
  Split: split,
  SplitV: split,
  Slice: sliceNode,
  StridedSlice: stridedSlice,
  Gather: gather,
  GatherV2: gather,
  ReverseV2: reverse,
  Tile: tile,
  Transpose: (call) => {
    const input = inputAt(call, 0);
    const order = numbersAt(call, 1).map((axis) => axisOf(axis, input.shape.length));
    return transpose(call.builder, input, order);
  },
  ResizeBilinear: resize('bilinear'),
  ResizeNearestNeighbor: resize('nearest'),
  DepthToSpace: depthToSpace,
};
