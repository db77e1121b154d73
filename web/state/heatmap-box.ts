import type { Model } from './models.ts';

/** A part of a square box, centred in it, in shares of its sides. */
export interface Box {
  width: number;
  height: number;
}

/**
 * Where the model's view lies in a square that shows a photograph's centre (as `object-fit: cover` does): a model that crops sees
 * the middle of the centre square, one that stretches sees the whole photograph, which reaches beyond the square.
 * @param photo the photograph's size in pixels, upright
 */
export function findHeatmapBox({ width, height, shortSide }: Model['input'], photo: Box): Box {
  if (shortSide) return { width: width / shortSide, height: height / shortSide };
  const short = Math.min(photo.width, photo.height);
  return { width: photo.width / short, height: photo.height / short };
}
