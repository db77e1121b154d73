/**
 * Resizing as OpenCV's `cv2.resize` does it on 8-bit images: no antialias except in `area`. All but `cubic` is bit for bit.
 * The arithmetic follows modules/imgproc/src/resize.cpp of OpenCV 4, SIMD lanes included.
 */
import type { Area, Pixels, Resizer } from './pixels.ts';
import { roundHalfToEven } from './rounding.ts';
import {
  clampedTaps,
  columnsOf,
  makeTaps,
  pickPixels,
  planRows,
  type Range,
  resampleFloat,
  rowsOf,
  sumColumns,
  type Taps,
} from './separable.ts';

/** `cubic`: with Intel's IPP, which OpenCV's packages for x86 have; `cubic-fixed`: without, as on ARM. */
export type OpencvFilter = 'linear' | 'area' | 'cubic' | 'cubic-fixed' | 'nearest';

const COEFFICIENT_BITS = 11;
const ONE = 1 << COEFFICIENT_BITS;
/** Columns of a row that the vertical cubic pass computes in single precision; the rest of a row is fixed point. */
const CUBIC_LANES = 8;
const { fround } = Math;

/** One dimension of a resize. `scale` is source pixels per result pixel, computed in OpenCV's order. */
interface Axis {
  inSize: number;
  outSize: number;
  inverse: number;
  scale: number;
}

export function createOpencvResizer(filter: OpencvFilter): Resizer {
  return (source, size, part) => {
    const x = axisOf(source.width, size.width);
    const y = axisOf(source.height, size.height);
    switch (filter) {
      case 'nearest':
        return pickPixels(source, nearestPicks(x, columnsOf(part)), nearestPicks(y, rowsOf(part)));
      case 'cubic':
        return resampleFloat(source, cubicTaps(x, columnsOf(part)), cubicTaps(y, rowsOf(part)));
      case 'cubic-fixed':
        return resizeCubic(source, x, y, part);
      case 'area':
        return x.scale >= 1 && y.scale >= 1 ? resizeArea(source, x, y, part) : resizeLinear(source, x, y, part, true);
      case 'linear':
        return isHalf(x) && isHalf(y) ? resizeArea(source, x, y, part) : resizeLinear(source, x, y, part, false);
      default:
        return filter satisfies never;
    }
  };
}

function axisOf(inSize: number, outSize: number): Axis {
  const inverse = outSize / inSize;
  return { inSize, outSize, inverse, scale: 1 / inverse };
}

const isWhole = ({ scale }: Axis): boolean => Math.abs(scale - roundHalfToEven(scale)) < Number.EPSILON;
const isHalf = (axis: Axis): boolean => isWhole(axis) && roundHalfToEven(axis.scale) === 2;

const fixed = (weight: number): number => roundHalfToEven(fround(fround(weight) * ONE));
const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

function nearestPicks({ inSize, scale }: Axis, { from, length }: Range): Int32Array {
  return Int32Array.from({ length }, (_, i) => Math.min(Math.floor((from + i) * scale), inSize - 1));
}

/** The source pixel left of (above) a result pixel, and the distance between them. */
function positionOf({ scale, inverse }: Axis, index: number, isArea: boolean): { below: number; part: number } {
  if (isArea) {
    const below = Math.floor(index * scale);
    const part = fround(index + 1 - (below + 1) * inverse);
    return { below, part: part <= 0 ? 0 : fround(part - Math.floor(part)) };
  }
  const position = fround((index + 0.5) * scale - 0.5);
  const below = Math.floor(position);
  return { below, part: fround(position - below) };
}

function linearColumns(axis: Axis, range: Range, isArea: boolean): Taps {
  return makeTaps(range, 2, (index, weights) => {
    const { below, part } = positionOf(axis, index, isArea);
    if (below < 0 || below >= axis.inSize - 1) {
      weights[0] = ONE;
      return { start: below < 0 ? 0 : axis.inSize - 1, count: 1 };
    }
    weights[0] = fixed(1 - part);
    weights[1] = fixed(part);
    return { start: below, count: 2 };
  });
}

function resizeLinear(source: Pixels, x: Axis, y: Axis, part: Area, isArea: boolean): Uint8Array {
  const columns = linearColumns(x, columnsOf(part), isArea);
  const rows = edgeTaps(rowsOf(part), y.inSize, 2, (index) => {
    const { below, part: beyond } = positionOf(y, index, isArea);
    return { first: below, weights: [fixed(1 - beyond), fixed(beyond)] };
  });
  const rowLength = part.width * source.channels;
  const between = sumColumns(source, columns, rows.sources, new Int32Array(rows.sources.length * rowLength));
  const result = new Uint8ClampedArray(part.height * rowLength);
  for (let row = 0; row < part.height; row++) {
    const [weight0, weight1] = rows.weights.subarray(row * 2, row * 2 + 2) as unknown as [number, number];
    const upper = rows.taps[row * 2]! * rowLength;
    const lower = rows.taps[row * 2 + 1]! * rowLength;
    for (let i = 0; i < rowLength; i++) {
      const above = (weight0 * (between[upper + i]! >> 4)) >> 16;
      const below = (weight1 * (between[lower + i]! >> 4)) >> 16;
      result[row * rowLength + i] = (above + below + 2) >> 2;
    }
  }
  return new Uint8Array(result.buffer);
}

/**
 * Vertical taps, which may begin above the image and end below it: each of their rows is clamped.
 * @returns per output row, the index of each tap's row among the distinct `sources`
 */
function edgeTaps(
  { from, length }: Range,
  inHeight: number,
  count: number,
  weigh: (index: number) => { first: number; weights: readonly number[] },
) {
  const starts = new Int32Array(length);
  const counts = new Int32Array(length);
  const offsets = new Int32Array(length * count);
  const weights = new Int32Array(length * count);
  for (let i = 0; i < length; i++) {
    const taps = weigh(from + i);
    weights.set(taps.weights, i * count);
    starts[i] = clamp(taps.first, 0, inHeight - 1);
    counts[i] = clamp(taps.first + count - 1, 0, inHeight - 1) - starts[i]! + 1;
    for (let tap = 0; tap < count; tap++)
      offsets[i * count + tap] = clamp(taps.first + tap, 0, inHeight - 1) - starts[i]!;
  }
  const { sources, slots } = planRows({ starts, counts });
  const taps = offsets.map((offset, i) => slots[Math.floor(i / count)]! + offset);
  return { sources, taps, weights };
}

/** IPP's weights are not rounded, and its result is rounded once. Exact halves may differ by one: its code is not open. */
function cubicTaps({ inSize, outSize }: Axis, range: Range): Taps {
  const a = -0.75;
  const far = (t: number) => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  const near = (t: number) => ((a + 2) * t - (a + 3)) * t * t + 1;
  return clampedTaps(range, inSize, 4, (index) => {
    const position = (index + 0.5) * (inSize / outSize) - 0.5;
    const below = Math.floor(position);
    const t = position - below;
    return { first: below - 1, weights: [far(t + 1), near(t), near(1 - t), far(2 - t)] };
  });
}

/** In single precision, step by step, as the compiled code does it. */
function cubicWeights(x: number): [number, number, number, number] {
  const f = fround;
  const a = f(-0.75);
  const outer = (t: number) => f(f(f(f(f(f(f(a * t) - f(5 * a)) * t) + f(8 * a)) * t)) - f(4 * a));
  const inner = (t: number) => f(f(f(f(f(f(a + 2) * t) - f(a + 3)) * t) * t) + 1);
  const w0 = outer(f(x + 1));
  const w1 = inner(x);
  const w2 = inner(f(1 - x));
  return [w0, w1, w2, f(f(f(1 - w0) - w1) - w2)];
}

function resizeCubic(source: Pixels, x: Axis, y: Axis, part: Area): Uint8Array {
  const columns = makeTaps(columnsOf(part), 4, (index, into) => {
    const { below, part: beyond } = positionOf(x, index, false);
    const start = clamp(below - 1, 0, x.inSize - 1);
    for (const [i, weight] of cubicWeights(beyond).entries()) {
      const at = clamp(below - 1 + i, 0, x.inSize - 1) - start;
      into[at] = into[at]! + fixed(weight);
    }
    return { start, count: clamp(below + 2, 0, x.inSize - 1) - start + 1 };
  });
  const rows = edgeTaps(rowsOf(part), y.inSize, 4, (index) => {
    const { below, part: beyond } = positionOf(y, index, false);
    return { first: below - 1, weights: cubicWeights(beyond).map(fixed) };
  });
  const rowLength = part.width * source.channels;
  const between = sumColumns(source, columns, rows.sources, new Int32Array(rows.sources.length * rowLength));
  const firstColumn = part.left * source.channels;
  const inLanes = x.outSize * source.channels - ((x.outSize * source.channels) % CUBIC_LANES) - firstColumn;
  const unit = fround(1 / (ONE * ONE));
  const result = new Uint8ClampedArray(part.height * rowLength);
  for (let row = 0; row < part.height; row++) {
    const weights = rows.weights.subarray(row * 4, row * 4 + 4);
    const at = [0, 1, 2, 3].map((i) => rows.taps[row * 4 + i]! * rowLength);
    for (let i = 0; i < rowLength; i++) {
      let value: number;
      if (i < inLanes) {
        let sum = 0;
        for (let tap = 3; tap >= 0; tap--) {
          sum = fround(fround(fround(between[at[tap]! + i]!) * fround(weights[tap]! * unit)) + sum);
        }
        value = roundHalfToEven(sum);
      } else {
        let sum = 1 << (2 * COEFFICIENT_BITS - 1);
        for (let tap = 0; tap < 4; tap++) sum += between[at[tap]! + i]! * weights[tap]!;
        value = sum >> (2 * COEFFICIENT_BITS);
      }
      result[row * rowLength + i] = value;
    }
  }
  return new Uint8Array(result.buffer);
}

/** As `computeResizeAreaTab`: the parts of source pixels that a result pixel covers. */
function areaTaps({ inSize, scale }: Axis, range: Range): Taps {
  return makeTaps(range, Math.ceil(scale) + 2, (index, weights) => {
    const from = index * scale;
    const to = from + scale;
    const width = Math.min(scale, inSize - from);
    const end = Math.min(Math.floor(to), inSize - 1);
    const start = Math.min(Math.ceil(from), end);
    const hasPartBefore = start - from > 1e-3;
    let count = 0;
    if (hasPartBefore) weights[count++] = fround((start - from) / width);
    for (let i = start; i < end; i++) weights[count++] = fround(1 / width);
    if (to - end > 1e-3) weights[count++] = fround(Math.min(Math.min(to - end, 1), width) / width);
    return { start: hasPartBefore ? start - 1 : start, count };
  });
}

function resizeArea(source: Pixels, x: Axis, y: Axis, part: Area): Uint8Array {
  if (isWhole(x) && isWhole(y)) return averageBlocks(source, roundHalfToEven(x.scale), roundHalfToEven(y.scale), part);
  const { data, width, channels } = source;
  const columns = areaTaps(x, columnsOf(part));
  const rows = areaTaps(y, rowsOf(part));
  const { sources, slots } = planRows(rows);
  const rowLength = part.width * channels;
  const between = new Float32Array(sources.length * rowLength);
  let to = 0;
  for (const row of sources) {
    for (let column = 0; column < part.width; column++) {
      const at = (row * width + columns.starts[column]!) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let i = 0; i < columns.counts[column]!; i++) {
          sum = fround(
            sum + fround(data[at + i * channels + channel]! * columns.weights[column * columns.stride + i]!),
          );
        }
        between[to++] = sum;
      }
    }
  }
  const result = new Uint8ClampedArray(part.height * rowLength);
  const sums = new Float32Array(rowLength);
  for (let row = 0; row < part.height; row++) {
    sums.fill(0);
    for (let tap = 0; tap < rows.counts[row]!; tap++) {
      const weight = rows.weights[row * rows.stride + tap]!;
      const from = (slots[row]! + tap) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i] = sums[i]! + fround(weight * between[from + i]!);
    }
    result.set(sums, row * rowLength);
  }
  return new Uint8Array(result.buffer);
}

/** Whole numbers of pixels become one. Four are rounded half up, other numbers half to even. */
function averageBlocks({ data, width, channels }: Pixels, blockX: number, blockY: number, part: Area): Uint8Array {
  const result = new Uint8ClampedArray(part.width * part.height * channels);
  const share = fround(1 / (blockX * blockY));
  const isFour = blockX === 2 && blockY === 2;
  let to = 0;
  for (let y = part.top; y < part.top + part.height; y++) {
    for (let x = part.left; x < part.left + part.width; x++) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let i = 0; i < blockY; i++) {
          const at = ((y * blockY + i) * width + x * blockX) * channels + channel;
          for (let j = 0; j < blockX; j++) sum += data[at + j * channels]!;
        }
        result[to++] = isFour ? (sum + 2) >> 2 : roundHalfToEven(fround(fround(sum) * share));
      }
    }
  }
  return new Uint8Array(result.buffer);
}
