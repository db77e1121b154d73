import type { Area, Pixels } from './pixels.ts';

/** For each output pixel of one dimension: the first source pixel that it reads, and a weight per source pixel. */
export interface Taps {
  starts: Int32Array;
  counts: Int32Array;
  /** `stride` weights per output pixel, of which `counts` are used. */
  weights: Float64Array | Float32Array | Int32Array;
  stride: number;
}

export type FloatTaps = Taps & { weights: Float64Array };

/** Which source pixel each output pixel of one dimension copies. */
export type Picks = Int32Array;

/** The output pixels of one dimension that are computed: `length` of them from `from` on. */
export interface Range {
  from: number;
  length: number;
}

export const columnsOf = ({ left, width }: Area): Range => ({ from: left, length: width });
export const rowsOf = ({ top, height }: Area): Range => ({ from: top, length: height });

/** The source rows that vertical taps read: from `first` up to, not including, `end`. */
export function rowsRead({ starts, counts }: Taps): { first: number; end: number } {
  let first = Number.POSITIVE_INFINITY;
  let end = 0;
  for (let y = 0; y < starts.length; y++) {
    first = Math.min(first, starts[y]!);
    end = Math.max(end, starts[y]! + counts[y]!);
  }
  return { first, end };
}

/** Taps of one dimension from a function that names the weights of one output pixel. */
export function makeTaps(
  { from, length }: Range,
  stride: number,
  weigh: (index: number, weights: Float64Array) => { start: number; count: number },
): FloatTaps {
  const starts = new Int32Array(length);
  const counts = new Int32Array(length);
  const weights = new Float64Array(length * stride);
  for (let i = 0; i < length; i++) {
    const { start, count } = weigh(from + i, weights.subarray(i * stride, (i + 1) * stride));
    starts[i] = start;
    counts[i] = count;
  }
  return { starts, counts, weights, stride };
}

/**
 * Resamples in floating point, columns first, and rounds once at the end, as a float result that is looked at as bytes.
 * @returns uint8, rows x columns x channels
 */
export function resampleFloat({ data, width, channels }: Pixels, columns: Taps, rows: Taps): Uint8Array {
  const { first, end } = rowsRead(rows);
  const rowLength = columns.starts.length * channels;
  const between = new Float32Array((end - first) * rowLength);
  for (let y = first; y < end; y++) {
    let to = (y - first) * rowLength;
    for (let x = 0; x < columns.starts.length; x++) {
      const tap = x * columns.stride;
      const count = columns.counts[x]!;
      const at = (y * width + columns.starts[x]!) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += data[at + i * channels + channel]! * columns.weights[tap + i]!;
        between[to++] = sum;
      }
    }
  }
  const result = new Uint8ClampedArray(rows.starts.length * rowLength);
  for (let y = 0; y < rows.starts.length; y++) {
    const tap = y * rows.stride;
    const count = rows.counts[y]!;
    const at = (rows.starts[y]! - first) * rowLength;
    for (let x = 0; x < rowLength; x++) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += between[at + i * rowLength + x]! * rows.weights[tap + i]!;
      result[y * rowLength + x] = sum;
    }
  }
  return new Uint8Array(result.buffer);
}

/** @returns uint8, rows x columns x channels */
export function pickPixels({ data, width, channels }: Pixels, columns: Picks, rows: Picks): Uint8Array {
  const result = new Uint8Array(rows.length * columns.length * channels);
  let to = 0;
  for (const y of rows) {
    for (const x of columns) {
      const at = (y * width + x) * channels;
      for (let channel = 0; channel < channels; channel++) result[to++] = data[at + channel]!;
    }
  }
  return result;
}

/** Two taps per output pixel around a position on the source's axis, both inside of the image. */
export function linearTaps(range: Range, inSize: number, positionOf: (index: number) => number): FloatTaps {
  return makeTaps(range, 2, (index, weights) => {
    const position = positionOf(index);
    const below = Math.floor(position);
    const part = position - below;
    const low = Math.min(Math.max(below, 0), inSize - 1);
    const high = Math.min(Math.max(below + 1, 0), inSize - 1);
    if (low === high) {
      weights[0] = 1;
      return { start: low, count: 1 };
    }
    weights[0] = 1 - part;
    weights[1] = part;
    return { start: low, count: 2 };
  });
}

/** Taps of a kernel of any width, with what lies outside of the image given to its edge. */
export function clampedTaps(
  range: Range,
  inSize: number,
  taps: number,
  weigh: (index: number) => { first: number; weights: readonly number[] },
): FloatTaps {
  return makeTaps(range, taps, (index, into) => {
    const { first, weights } = weigh(index);
    const start = Math.min(Math.max(first, 0), inSize - 1);
    const last = Math.min(Math.max(first + taps - 1, 0), inSize - 1);
    for (let i = 0; i < taps; i++) {
      const at = Math.min(Math.max(first + i, 0), inSize - 1) - start;
      into[at] = into[at]! + weights[i]!;
    }
    return { start, count: last - start + 1 };
  });
}
