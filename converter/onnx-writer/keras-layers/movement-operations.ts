/** Operations that move values: other shapes, orders, parts. */
import { concat, resolveShape, slice, transpose } from '../emit/shape.ts';
import { BATCH, floatTensor, int64Tensor } from '../graph/graph.ts';
import type { Value } from '../graph/graph-builder.ts';
import type { Operands, Operation } from './operands.ts';
import { sliceByKey } from './slices.ts';

/** A file may ask for one part per pixel, each of which becomes operators. */
const MAX_PARTS = 1024;

/** The one axis that an operation is over. @throws UnsupportedOpError for several, and for the batch */
function oneAxis(operands: Operands, { shape }: Value, name = 'axis', fallback?: number): number {
  const given = operands.constant(name) ?? fallback;
  const axis = typeof given === 'number' ? operands.axis(given, shape.length) : 0;
  if (axis === 0) throw operands.unsupported('over the batch, or over several axes');
  return axis;
}

/** Parts of a value along an axis: so many equal ones, or parts of the given sizes. */
function cut(operands: Operands, x: Value, axis: number, sizes: readonly number[]): Value[] {
  if (sizes.length > MAX_PARTS) throw operands.unsupported(`into ${sizes.length} parts`);
  let begin = 0;
  return sizes.map((size) => {
    const part = slice(operands.builder, x, [{ axis, begin, end: begin + size }]);
    begin += size;
    return part;
  });
}

/** Sizes of parts that fill `size`; undefined if none or others do. */
function partSizes(given: unknown, areBounds: boolean, size: number): number[] | undefined {
  const isWhole = (part: unknown): part is number => Number.isInteger(part) && Number(part) > 0 && Number(part) <= size;
  if (isWhole(given)) return size % given === 0 ? Array(given).fill(size / given) : undefined;
  if (!Array.isArray(given) || !given.every(isWhole)) return undefined;
  const ends = [...given, size];
  const sizes = areBounds ? ends.map((end, i) => end - (ends[i - 1] ?? 0)) : given;
  return sizes.every(isWhole) && sizes.reduce((a, b) => a + b, 0) === size ? sizes : undefined;
}

const pad: Operation = (operands) => {
  const { builder } = operands;
  const x = builder.channelsLast(operands.value('x'));
  const widths = operands.constant('pad_width');
  const mode = String(operands.constant('mode') ?? 'constant').toLowerCase();
  const fill = operands.number('constant_values', 0);
  const isWidth = (width: unknown) => Array.isArray(width) && width.length === 2 && width.every(Number.isInteger);
  const list = Array.isArray(widths) && widths.every(isWidth) ? (widths as [number, number][]) : [];
  if (list.length !== x.shape.length || list.flat().some((width) => width < 0) || list[0]?.some((width) => width > 0)) {
    throw operands.unsupported(`with the widths ${JSON.stringify(widths)}`);
  }
  if (mode !== 'constant' && mode !== 'reflect') throw operands.unsupported(`with mode ${mode}`);
  const shape = x.shape.map((size, axis) => (axis === 0 ? size : size + list[axis]![0] + list[axis]![1]));
  const pads = builder.constant(int64Tensor([...list.map(([before]) => before), ...list.map(([, after]) => after)]));
  const inputs = mode === 'constant' ? [x, pads, builder.constant(floatTensor([], [fill]))] : [x, pads];
  return builder.emit('Pad', inputs, { shape }, { mode: { text: mode } });
};

const reorder =
  (orderOf: (operands: Operands, x: Value) => number[] | undefined): Operation =>
  (operands) => {
    const x = operands.value('x');
    const order = orderOf(operands, x);
    if (order?.[0] !== 0) throw operands.unsupported('that moves the batch');
    return transpose(operands.builder, x, order);
  };

export const MOVEMENT_OPERATIONS: Record<string, Operation> = {
  reshape: (operands) => {
    const x = operands.value('x');
    return operands.builder.reshape(x, resolveShape(x.shape, operands.ints('shape') ?? []));
  },
  transpose: reorder((operands, { shape }) => operands.axes('perm', shape.length)),
  swapaxes: reorder((operands, x) => {
    const [first, second] = [oneAxis(operands, x, 'axis1'), oneAxis(operands, x, 'axis2')];
    return x.shape.map((_, axis) => (axis === first ? second : axis === second ? first : axis));
  }),
  moveaxis: reorder((operands, { shape }) => {
    const [from, to] = [operands.ints('source'), operands.ints('destination')];
    if (from?.length !== 1 || to?.length !== 1) throw operands.unsupported('of several axes');
    const [source, target] = [operands.axis(from[0]!, shape.length), operands.axis(to[0]!, shape.length)];
    return shape
      .map((_, axis) => axis)
      .filter((axis) => axis !== source)
      .toSpliced(target, 0, source);
  }),
  flip: (operands) => {
    const x = operands.value('x');
    const axes = operands.axes('axis', x.shape.length);
    if (axes === undefined || axes.includes(0)) throw operands.unsupported('that moves the batch');
    const parts = axes.map((axis) => ({ axis, begin: (x.shape[axis] ?? 1) - 1, end: -1, step: -1 }));
    return slice(operands.builder, x, parts);
  },
  expand_dims: (operands) => {
    const x = operands.value('x');
    const axis = operands.axis(operands.number('axis', 0), x.shape.length + 1);
    if (axis === 0 && x.shape[0] === BATCH) throw operands.unsupported('that moves the batch');
    return operands.builder.reshape(x, x.shape.toSpliced(axis, 0, 1));
  },
  squeeze: (operands) => {
    const x = operands.value('x');
    const axes = operands.axes('axis', x.shape.length);
    if (axes?.some((axis) => x.shape[axis] !== 1)) throw operands.unsupported(`of [${x.shape}] over axis ${axes}`);
    const drop = (size: number, axis: number) => size === 1 && (axes === undefined || axes.includes(axis));
    return operands.builder.reshape(
      x,
      x.shape.filter((size, axis) => !drop(size, axis)),
    );
  },
  concatenate: (operands) => {
    const values = operands.values('x');
    const axis = operands.axis(operands.number('axis', 0), values[0]?.shape.length ?? 0);
    if (axis === 0) throw operands.unsupported('that moves the batch');
    return concat(operands.builder, values, axis);
  },
  getitem: (operands) => sliceByKey(operands.builder, operands.value('x'), operands.constant('key'), operands),
  stack: (operands) => {
    const values = operands.values('x');
    const [first] = values;
    const rank = (first?.shape.length ?? 0) + 1;
    const axis = operands.axis(operands.number('axis', 0), rank);
    if (!first || axis === 0) throw operands.unsupported('that moves the batch');
    const expanded = values.map((value) => operands.builder.reshape(value, value.shape.toSpliced(axis, 0, 1)));
    return concat(operands.builder, expanded, axis);
  },
  split: (operands) => {
    const x = operands.value('x');
    const axis = oneAxis(operands, x);
    const size = x.shape[axis] ?? 1;
    const bounds = operands.constant('indices_or_sections');
    // Keras 3 says where parts begin, TensorFlow their sizes; for both, one number is how many equal parts there are.
    const given = bounds ?? operands.constant('num_or_size_splits');
    const sizes = partSizes(given, bounds !== undefined, size);
    operands.allow('num');
    if (!sizes) throw operands.unsupported(`into ${JSON.stringify(given)}`);
    return cut(operands, x, axis, sizes);
  },
  unstack: (operands) => {
    const x = operands.value('x');
    const axis = oneAxis(operands, x);
    const count = x.shape[axis] ?? 1;
    operands.allow('num', count);
    const parts = cut(operands, x, axis, Array(count).fill(1));
    return parts.map((part) => operands.builder.reshape(part, x.shape.toSpliced(axis, 1)));
  },
  take: (operands) => {
    const { builder } = operands;
    const x = builder.channelsLast(operands.value('x'));
    const axis = oneAxis(operands, x);
    const size = x.shape[axis] ?? 1;
    operands.allow('batch_dims', 0);
    const given = operands.constant('indices');
    const list = [given].flat() as number[];
    const at = list.map((index) => (index < 0 ? index + size : index));
    if (at.length === 0 || !at.every((index) => Number.isInteger(index) && index >= 0 && index < size))
      throw operands.unsupported(`at ${JSON.stringify(given)}`);
    const indices = builder.constant(int64Tensor(at));
    const shape = x.shape.with(axis, at.length);
    const taken = builder.emit('Gather', [x, indices], { shape }, { axis: { int: axis } });
    return Array.isArray(given) ? taken : builder.reshape(taken, x.shape.toSpliced(axis, 1));
  },
  pad,
};
