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

/** Which source rows are resampled across, and where the taps of each output row begin among them. */
export interface RowPlan {
  /** Ascending, without repetition. */
  sources: Int32Array;
  /** Per output row, the index in `sources` of its first tap; the others follow. */
  slots: Int32Array;
}

/** Rows that no tap reads are left out: without antialias most of a large image's are. */
export function planRows({ starts, counts }: Pick<Taps, 'starts' | 'counts'>): RowPlan {
  const slots = new Int32Array(starts.length);
  let end = 0;
  let used = 0;
  for (let y = 0; y < starts.length; y++) {
    const start = starts[y]!;
    if (start >= end) {
      slots[y] = used;
      used += counts[y]!;
    } else {
      slots[y] = used - (end - start);
      used += Math.max(start + counts[y]! - end, 0);
    }
    end = Math.max(end, start + counts[y]!);
  }
  const sources = new Int32Array(used);
  for (let y = 0; y < starts.length; y++) for (let i = 0; i < counts[y]!; i++) sources[slots[y]! + i] = starts[y]! + i;
  return { sources, slots };
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
 * Resamples in floating point, columns first, and rounds once at the end, as a float result that is read as bytes.
 * @returns uint8, rows x columns x channels
 */
export function resampleFloat(pixels: Pixels, columns: Taps, rows: Taps): Uint8Array {
  const { sources, slots } = planRows(rows);
  const rowLength = columns.starts.length * pixels.channels;
  const between = sumColumns(pixels, columns, sources, new Float32Array(sources.length * rowLength));
  const result = new Uint8ClampedArray(rows.starts.length * rowLength);
  const sums = new Float64Array(rowLength);
  const { weights, counts, stride } = rows;
  for (let y = 0; y < slots.length; y++) {
    const count = counts[y]!;
    const slot = slots[y]!;
    sums.fill(0);
    for (let i = 0; i < count; i++) {
      const weight = weights[y * stride + i]!;
      const from = (slot + i) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x] = sums[x]! + between[from + x]! * weight;
    }
    result.set(sums, y * rowLength);
  }
  return new Uint8Array(result.buffer);
}

/**
 * The horizontal pass without rounding: the given source rows, resampled to the columns.
 * @param into sources x columns x channels
 */
export function sumColumns<T extends Float32Array | Int32Array>(
  { data, width, channels }: Pixels,
  { starts, counts, weights, stride }: Taps,
  sources: Int32Array,
  into: T,
): T {
  let to = 0;
  for (let slot = 0; slot < sources.length; slot++) {
    const row = sources[slot]! * width;
    for (let x = 0; x < starts.length; x++) {
      const tap = x * stride;
      const count = counts[x]!;
      let at = (row + starts[x]!) * channels;
      if (channels === 3) {
        let red = 0;
        let green = 0;
        let blue = 0;
        for (let i = 0; i < count; i++, at += 3) {
          const weight = weights[tap + i]!;
          red += data[at]! * weight;
          green += data[at + 1]! * weight;
          blue += data[at + 2]! * weight;
        }
        into[to] = red;
        into[to + 1] = green;
        into[to + 2] = blue;
        to += 3;
      } else {
        for (let channel = at; channel < at + channels; channel++) {
          let sum = 0;
          for (let i = 0; i < count; i++) sum += data[channel + i * channels]! * weights[tap + i]!;
          into[to++] = sum;
        }
      }
    }
  }
  return into;
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

/** Taps of a kernel of any width; weights outside the image are added to its edge. */
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
