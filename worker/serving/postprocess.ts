/** Turns an engine's answer into a prediction's result. Pure. */
import { type Heatmaps, type Label, type Result, STORED_LABELS } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import type { ActivationMaps, EngineOutput } from '../engines/engine.ts';
import { topKIndexes } from './top-k.ts';

/** Float32 has seven digits; more would only lengthen every event. */
const SCORE_DIGITS = 7;
const MAP_DIGITS = 1_000;

/**
 * The result of the image at `index` of a batch: its best labels by descending score (the lower index first if equal), and
 * a heatmap for each of the first STORED_LABELS if requested and the engine returned maps.
 * @param labelCount how many labels to keep
 * @throws InferqlError MODEL_FAILED if a probability is not a finite number.
 */
export function readResult(
  output: EngineOutput,
  index: number,
  labels: readonly string[],
  wantsHeatmap = false,
  labelCount = STORED_LABELS,
): Result {
  const row = output.probabilities.subarray(index * labels.length, (index + 1) * labels.length);
  if (row.length !== labels.length) throw new InferqlError('MODEL_FAILED', { cause: new Error('too few values') });
  if (!row.every(Number.isFinite))
    throw new InferqlError('MODEL_FAILED', { cause: new Error('a value is not a number') });
  const best = topKIndexes(row, labelCount).map(
    (at): Label => ({ index: at, name: labels[at]!, score: Number(row[at]!.toPrecision(SCORE_DIGITS)) }),
  );
  const extra = output.extra?.[index];
  const result = { labels: best, ...(extra === undefined ? {} : { extra }) };
  if (!wantsHeatmap || !output.maps) return result;
  return { ...result, heatmaps: scaleMaps(output.maps, index, best) };
}

/** Scales the maps of the image at `index`. */
function scaleMaps({ values, labels, width, height }: ActivationMaps, index: number, best: readonly Label[]): Heatmaps {
  const cells = width * height;
  const mapAt = (place: number) =>
    values.subarray((index * labels + place) * cells, (index * labels + place + 1) * cells);
  return {
    width,
    height,
    maps: best.slice(0, labels).map((label, place) => ({ index: label.index, values: scaleToOne(mapAt(place)) })),
  };
}

function scaleToOne(map: Float32Array): number[] {
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
