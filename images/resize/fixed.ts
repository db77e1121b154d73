/** Resampling of 8-bit images in fixed point, which is exact: what Pillow and torch do. */
import type { Pixels } from './pixels.ts';
import { type FloatTaps, type Range, rowsRead, type Taps } from './separable.ts';

/** Weights are whole numbers of 2^-bits. A pixel's weights may add up to a little less or more than one. */
export type FixedTaps = Taps & { weights: Int32Array; bits: number };

/** Weights in fixed point, halves away from zero. */
export function toFixedTaps(taps: FloatTaps, bits: number): FixedTaps {
  const weights = Int32Array.from(taps.weights, (w) => Math.trunc((w < 0 ? -0.5 : 0.5) + w * 2 ** bits));
  return { ...taps, weights, bits };
}

/** A weight of one leaves a pixel as it is: the pass that a library leaves out if a dimension keeps its size. */
export function copyTaps({ from, length }: Range): FixedTaps {
  const bits = 8;
  return {
    starts: Int32Array.from({ length }, (_, i) => from + i),
    counts: new Int32Array(length).fill(1),
    weights: new Int32Array(length).fill(2 ** bits),
    stride: 1,
    bits,
  };
}

/** Two passes, columns first, each rounded and clamped to 8 bits. */
export function resampleFixed({ data, width, channels }: Pixels, columns: FixedTaps, rows: FixedTaps): Uint8Array {
  const { first, end } = rowsRead(rows);
  const columnCount = columns.starts.length;
  const rowLength = columnCount * channels;
  const { bits } = columns;
  const half = 1 << (bits - 1);
  const between = new Uint8ClampedArray((end - first) * rowLength);
  for (let y = first; y < end; y++) {
    let to = (y - first) * rowLength;
    for (let x = 0; x < columnCount; x++) {
      const tap = x * columns.stride;
      const count = columns.counts[x]!;
      const at = (y * width + columns.starts[x]!) * channels;
      if (channels === 3) {
        let red = half;
        let green = half;
        let blue = half;
        for (let i = 0, from = at; i < count; i++, from += 3) {
          const weight = columns.weights[tap + i]!;
          red = (red + data[from]! * weight) | 0;
          green = (green + data[from + 1]! * weight) | 0;
          blue = (blue + data[from + 2]! * weight) | 0;
        }
        between[to] = red >> bits;
        between[to + 1] = green >> bits;
        between[to + 2] = blue >> bits;
        to += 3;
      } else {
        for (let from = at; from < at + channels; from++) {
          let sum = half;
          for (let i = 0; i < count; i++) sum = (sum + data[from + i * channels]! * columns.weights[tap + i]!) | 0;
          between[to++] = sum >> bits;
        }
      }
    }
  }
  const result = new Uint8ClampedArray(rows.starts.length * rowLength);
  const sums = new Int32Array(rowLength);
  for (let y = 0; y < rows.starts.length; y++) {
    const tap = y * rows.stride;
    sums.fill(1 << (rows.bits - 1));
    for (let i = 0; i < rows.counts[y]!; i++) {
      const weight = rows.weights[tap + i]!;
      const from = (rows.starts[y]! - first + i) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x] = sums[x]! + between[from + x]! * weight;
    }
    const to = y * rowLength;
    for (let x = 0; x < rowLength; x++) result[to + x] = sums[x]! >> rows.bits;
  }
  return new Uint8Array(result.buffer);
}
