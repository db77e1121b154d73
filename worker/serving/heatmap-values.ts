/** Turns an engine's class activation maps into the values of a prediction's heatmaps. Pure. */
import type { Heatmaps, Label } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { ActivationMaps } from '../engines/engine.ts';

/** Values have three digits after the point; more would only lengthen every event. */
const STEPS = 1_000;

/**
 * The heatmaps of the image at `index` of a batch, scaled to 0..1: one for each of its best labels, except for those that postprocessing
 * alone made one of the best.
 * @throws InferqlError MODEL_FAILED if a value is not a finite number
 */
export function toHeatmaps(
  { values, labels, width, height, classes }: ActivationMaps,
  index: number,
  best: readonly Label[],
): Heatmaps {
  const cells = width * height;
  const mapAt = (place: number) =>
    values.subarray((index * labels + place) * cells, (index * labels + place + 1) * cells);
  return {
    width,
    height,
    maps: best.flatMap((label, rank) => {
      const place = classes ? classes[index]!.indexOf(label.index) : rank;
      return place >= 0 && place < labels ? [{ index: label.index, values: scaleToOne(mapAt(place)) }] : [];
    }),
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
  return Array.from(map, (value) => (range === 0 ? 0 : Math.round(((value - low) / range) * STEPS) / STEPS));
}
