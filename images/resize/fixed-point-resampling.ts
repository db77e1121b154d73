/** Resampling of 8-bit images in fixed point, which is exact: what Pillow and torch do. */
import type { Pixels } from './pixels.ts';
import { type FloatTaps, planRows, type Range, type RowPlan, type Taps } from './separable.ts';
import { resampleFixedSimd } from './simd.ts';

/** Weights are whole numbers of 2^-bits. A pixel's weights may add up to a little less or more than one. */
export type FixedTaps = Taps & { weights: Int32Array; bits: number };

/** Weights in fixed point, halves away from zero. */
export function toFixedTaps(taps: FloatTaps, bits: number): FixedTaps {
  const one = 2 ** bits;
  // A loop: `Int32Array.from` with a function takes ten times as long.
  const weights = new Int32Array(taps.weights.length);
  for (let i = 0; i < weights.length; i++) {
    const weight = taps.weights[i]!;
    weights[i] = Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * one);
  }
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
export function resampleFixed(pixels: Pixels, columns: FixedTaps, rows: FixedTaps): Uint8Array {
  const plan = planRows(rows);
  return resampleFixedSimd(pixels, columns, rows, plan) ?? resampleFixedScalar(pixels, columns, rows, plan);
}

/** The same without SIMD. */
export function resampleFixedScalar(
  { data, width, channels }: Pixels,
  columns: FixedTaps,
  rows: FixedTaps,
  { sources, slots }: RowPlan,
): Uint8Array {
  const columnCount = columns.starts.length;
  const rowLength = columnCount * channels;
  const { bits } = columns;
  const half = 1 << (bits - 1);
  const between = new Uint8ClampedArray(sources.length * rowLength);
  let to = 0;
  for (const y of sources) {
    for (let x = 0; x < columnCount; x++) {
      const tap = x * columns.stride;
      const count = columns.counts[x]!;
      const at = (y * width + columns.starts[x]!) * channels;
      for (let from = at; from < at + channels; from++) {
        let sum = half;
        for (let i = 0; i < count; i++) sum = (sum + data[from + i * channels]! * columns.weights[tap + i]!) | 0;
        between[to++] = sum >> bits;
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
      const from = (slots[y]! + i) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x] = sums[x]! + between[from + x]! * weight;
    }
    for (let x = 0; x < rowLength; x++) result[y * rowLength + x] = sums[x]! >> rows.bits;
  }
  return new Uint8Array(result.buffer);
}
