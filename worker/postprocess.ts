/** From an engine's answer to a prediction's result. Pure. */
import { type Heatmaps, type Label, type Result, STORED_LABELS } from '../queue/contract.ts';
import { InferqlError } from '../queue/errors.ts';
import type { EngineOutput, Features } from './engine.ts';

/** The weights of the dense layer behind global average pooling: classes x channels, row by row. */
export type ActivationKernel = Float32Array;

/** Float32 has seven digits; more would only lengthen every event. */
const SCORE_DIGITS = 7;
const MAP_DIGITS = 1_000;

/**
 * The result of the image at `index` of a batch: its best labels by descending score (of equals the lower index first), and
 * a heatmap for each where `kernel` and the features are given.
 * @throws InferqlError MODEL_FAILED where a probability is not a finite number.
 */
export function readResult(
  output: EngineOutput,
  index: number,
  labels: readonly string[],
  kernel?: ActivationKernel,
): Result {
  const row = output.probabilities.subarray(index * labels.length, (index + 1) * labels.length);
  if (row.length !== labels.length) throw new InferqlError('MODEL_FAILED', { cause: new Error('too few values') });
  if (!row.every(Number.isFinite))
    throw new InferqlError('MODEL_FAILED', { cause: new Error('a value is not a number') });
  const best = bestIndexes(row, STORED_LABELS).map(
    (at): Label => ({ index: at, name: labels[at]!, score: Number(row[at]!.toPrecision(SCORE_DIGITS)) }),
  );
  if (!kernel || !output.features) return { labels: best };
  return { labels: best, heatmaps: drawHeatmaps(output.features, index, best, kernel) };
}

function bestIndexes(row: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let at = 0; at < row.length; at++) {
    const score = row[at]!;
    if (best.length === count && score <= row[best[count - 1]!]!) continue;
    let place = best.length;
    while (place > 0 && row[best[place - 1]!]! < score) place--;
    best.splice(place, 0, at);
    if (best.length > count) best.pop();
  }
  return best;
}

/** Class activation maps (Zhou et al. 2016): the features weighted by the dense layer's weights of the class. */
function drawHeatmaps(
  { values, width, height, channels }: Features,
  index: number,
  best: readonly Label[],
  kernel: ActivationKernel,
): Heatmaps {
  const cells = width * height;
  const features = transpose(
    values.subarray(index * channels * cells, (index + 1) * channels * cells),
    channels,
    cells,
  );
  const maps = best.map(() => new Float64Array(cells));
  // Four labels at once, so that each feature is read once for four sums: this is two million products an image.
  for (let first = 0; first < best.length; first += 4) {
    const four = [0, 1, 2, 3].map((offset) => Math.min(first + offset, best.length - 1));
    const [a, b, c, d] = four.map((label) => best[label]!.index * channels) as [number, number, number, number];
    for (let cell = 0; cell < cells; cell++) {
      const at = cell * channels;
      let [sumA, sumB, sumC, sumD] = [0, 0, 0, 0];
      for (let channel = 0; channel < channels; channel++) {
        const value = features[at + channel]!;
        sumA += value * kernel[a + channel]!;
        sumB += value * kernel[b + channel]!;
        sumC += value * kernel[c + channel]!;
        sumD += value * kernel[d + channel]!;
      }
      const sums = [sumA, sumB, sumC, sumD];
      for (let offset = 0; offset < 4; offset++) maps[four[offset]!]![cell] = sums[offset]!;
    }
  }
  return { width, height, maps: best.map(({ index: at }, label) => ({ index: at, values: scaleToOne(maps[label]!) })) };
}

/** Rows become columns. */
export function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const transposed = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) transposed[column * rows + row] = matrix[row * columns + column]!;
  }
  return transposed;
}

function scaleToOne(map: Float64Array): number[] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of map) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!Number.isFinite(low) || !Number.isFinite(high))
    throw new InferqlError('MODEL_FAILED', { cause: new Error('a feature is not a number') });
  const range = high - low;
  return Array.from(map, (value) => (range === 0 ? 0 : Math.round(((value - low) / range) * MAP_DIGITS) / MAP_DIGITS));
}
