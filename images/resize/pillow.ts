/**
 * Resizing as Pillow's `Image.resize` does it, bit for bit on 8-bit images: the filter is widened when it shrinks
 * (antialias), weights are fixed point with 22 bits, each of the two passes is rounded to 8 bits.
 * The arithmetic follows libImaging/Resample.c and Geometry.c.
 */
import { copyTaps, type FixedTaps, resampleFixed, toFixedTaps } from './fixed-point-resampling.ts';
import type { Pixels, Resizer } from './pixels.ts';
import { columnsOf, type FloatTaps, makeTaps, type Picks, pickPixels, type Range, rowsOf } from './separable.ts';

export type PillowFilter = 'bilinear' | 'bicubic' | 'lanczos' | 'box' | 'hamming' | 'nearest';

interface Filter {
  /** Its radius, in source pixels if nothing is shrunk. */
  reach: number;
  weigh(distance: number): number;
}

/** Pillow's fixed point leaves 8 bits for the pixel and 2 for overflow. */
const PRECISION_BITS = 22;

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

export const PILLOW_FILTERS: Record<Exclude<PillowFilter, 'nearest'>, Filter> = {
  box: { reach: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { reach: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    reach: 1,
    weigh(signed) {
      const x = Math.abs(signed);
      if (x === 0) return 1;
      // The constants are single precision there.
      return x >= 1 ? 0 : sinc(x) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(x * Math.PI));
    },
  },
  bicubic: {
    reach: 2,
    weigh(signed) {
      const a = -0.5;
      const x = Math.abs(signed);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
  lanczos: { reach: 3, weigh: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/**
 * Since version 13 rows come first if the height shrinks by more than twice as many pixels as the width: a few values of tall
 * images differ by one. Before 12, columns always came first.
 */
export type PassOrder = 'cheaper-first' | 'columns-first';

export function createPillowResizer(filter: PillowFilter, order: PassOrder = 'cheaper-first'): Resizer {
  if (filter === 'nearest') return resizeNearest;
  const kernel = PILLOW_FILTERS[filter];
  return (source, size, part, box = { left: 0, top: 0, width: source.width, height: source.height }) => {
    const keepsColumns = size.width === source.width && box.left === 0 && box.width === size.width;
    const keepsRows = size.height === source.height && box.top === 0 && box.height === size.height;
    const taps = (inSize: number, start: number, length: number, outSize: number, range: Range) =>
      toFixedTaps(pillowTaps(kernel, inSize, start, start + length, outSize, range), PRECISION_BITS);
    const columns = keepsColumns
      ? copyTaps(columnsOf(part))
      : taps(source.width, box.left, box.width, size.width, columnsOf(part));
    const rows = keepsRows
      ? copyTaps(rowsOf(part))
      : taps(source.height, box.top, box.height, size.height, rowsOf(part));
    const shrinks = { width: source.width - size.width, height: source.height - size.height };
    const isRowsFirst = order === 'cheaper-first' && shrinks.height > 0 && shrinks.height > 2 * shrinks.width;
    const resample = isRowsFirst && !keepsColumns ? resampleRowsFirst : resampleFixed;
    const isBlended = source.channels === 4 && !(keepsColumns && keepsRows);
    return isBlended
      ? divideByAlpha(resample(multiplyByAlpha(source), columns, rows))
      : resample(source, columns, rows);
  };
}

function resampleRowsFirst(source: Pixels, columns: FixedTaps, rows: FixedTaps): Uint8Array {
  const height = rows.starts.length;
  const data = resampleFixed(source, copyTaps({ from: 0, length: source.width }), rows);
  return resampleFixed({ ...source, data, height }, columns, copyTaps({ from: 0, length: height }));
}

/** Colors of transparent pixels take no part: Pillow's mode RGBa. */
function multiplyByAlpha({ data, ...source }: Pixels): Pixels {
  const result = new Uint8Array(data);
  for (let at = 0; at < data.length; at += 4) {
    for (let channel = at; channel < at + 3; channel++) {
      const product = data[channel]! * data[at + 3]! + 128;
      result[channel] = ((product >> 8) + product) >> 8;
    }
  }
  return { data: result, ...source };
}

function divideByAlpha(data: Uint8Array): Uint8Array {
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let channel = at; channel < at + 3; channel++) {
      data[channel] = Math.min(Math.trunc((255 * data[channel]!) / alpha), 255);
    }
  }
  return data;
}

/**
 * As `precompute_coeffs`: weights of one dimension in floating point.
 * @param start @param end the part of the source that is resized
 */
export function pillowTaps(
  { reach, weigh }: Filter,
  inSize: number,
  start: number,
  end: number,
  outSize: number,
  range: Range,
): FloatTaps {
  const scale = (end - start) / outSize;
  const filterScale = Math.max(scale, 1);
  const support = reach * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const inverse = 1 / filterScale;
  return makeTaps(range, stride, (index, weights) => {
    const center = start + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const count = Math.min(Math.trunc(center + support + 0.5), inSize) - first;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      weights[i] = weigh((i + first - center + 0.5) * inverse);
      sum += weights[i]!;
    }
    if (sum !== 0) for (let i = 0; i < count; i++) weights[i] = weights[i]! / sum;
    return { start: first, count };
  });
}

const resizeNearest: Resizer = (source, size, part, box) => {
  const columns = nearestPicks(box?.left ?? 0, box?.width ?? source.width, size.width, columnsOf(part));
  const rows = nearestPicks(box?.top ?? 0, box?.height ?? source.height, size.height, rowsOf(part));
  return pickPixels(source, columns, rows);
};

/** As `ImagingScaleAffine`, whose position is a running sum: its rounding errors add up, and are part of the answer. */
function nearestPicks(start: number, inSize: number, outSize: number, { from, length }: Range): Picks {
  const step = inSize / outSize;
  const picks = new Int32Array(length);
  let position = start + step * 0.5;
  for (let i = 0; i < from + length; i++) {
    if (i >= from) picks[i - from] = Math.trunc(position);
    position += step;
  }
  return picks;
}
