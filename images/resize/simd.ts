/** Runs the kernels of kernels.wat: 3 to 4 times as fast as the loops of fixed-point-resampling.ts, and byte for byte the same. */
import { loadKernels } from '../load-kernels.ts';
import type { FixedTaps } from './fixed-point-resampling.ts';
import { KERNELS } from './kernels.wasm.ts';
import type { Pixels } from './pixels.ts';
import type { RowPlan } from './separable.ts';

interface Kernels {
  memory: WebAssembly.Memory;
  columns(
    source: number,
    pitch: number,
    target: number,
    targetPitch: number,
    channels: number,
    count: number,
    starts: number,
    counts: number,
    weights: number,
    stride: number,
    bits: number,
  ): void;
  rows(source: number, target: number, pitch: number, weights: number, taps: number, bits: number): void;
}

const PAGE_BYTES = 65_536;
/** A vector's bytes; what is read or written in vectors may end this far behind its last byte. */
const LANES = 16;

/** Rows that are resampled across at once. */
const ROWS = 4;

const kernels = loadKernels<Kernels>(KERNELS);

/** @returns undefined if it is not possible: no SIMD, or gray pixels, which it does not support */
export function resampleFixedSimd(pixels: Pixels, columns: FixedTaps, rows: FixedTaps, plan: RowPlan) {
  if (!kernels || pixels.channels === 1) return undefined;
  return run(kernels, pixels, columns, rows, plan);
}

function run(
  { memory, ...kernel }: Kernels,
  { data, width, channels }: Pixels,
  columns: FixedTaps,
  rows: FixedTaps,
  { sources, slots }: RowPlan,
): Uint8Array {
  const columnCount = columns.starts.length;
  const rowCount = rows.starts.length;
  const rowLength = columnCount * channels;
  // At least one byte is spare.
  const pitch = (Math.floor(rowLength / LANES) + 1) * LANES;
  const sourcePitch = width * channels;
  let end = 0;
  const place = (bytes: number): number => {
    const at = end;
    end += Math.ceil((bytes + LANES) / LANES) * LANES;
    return at;
  };
  const starts = place(columnCount * 4);
  const counts = place(columnCount * 4);
  const columnWeights = place(columns.weights.length * 4);
  const rowWeights = place(rows.weights.length * 4);
  const sourceRows = place(sourcePitch * ROWS);
  const between = place((sources.length + ROWS - 1) * pitch);
  const result = place(rowCount * pitch);
  const missing = end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));

  const words = new Int32Array(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  for (let x = 0; x < columnCount; x++) words[starts / 4 + x] = columns.starts[x]! * channels;
  words.set(columns.counts, counts / 4);
  words.set(columns.weights, columnWeights / 4);
  words.set(rows.weights, rowWeights / 4);
  for (let slot = 0; slot < sources.length; slot += ROWS) {
    // Of the last rows some may be missing: then old bytes are resampled in vain.
    for (let row = 0; row < ROWS && slot + row < sources.length; row++) {
      const from = sources[slot + row]! * sourcePitch;
      bytes.set(data.subarray(from, from + sourcePitch), sourceRows + row * sourcePitch);
    }
    kernel.columns(
      sourceRows,
      sourcePitch,
      between + slot * pitch,
      pitch,
      channels,
      columnCount,
      starts,
      counts,
      columnWeights,
      columns.stride * 4,
      columns.bits,
    );
  }
  const pixels = new Uint8Array(rowCount * rowLength);
  for (let y = 0; y < rowCount; y++) {
    const target = result + y * pitch;
    const weights = rowWeights + y * rows.stride * 4;
    kernel.rows(between + slots[y]! * pitch, target, pitch, weights, rows.counts[y]!, rows.bits);
    pixels.set(bytes.subarray(target, target + rowLength), y * rowLength);
  }
  return pixels;
}
