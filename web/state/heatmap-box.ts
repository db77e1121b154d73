import type { Model } from './models.ts';

/** Width and height, in any unit. */
export interface Box {
  width: number;
  height: number;
}

/**
 * How large the part of a photograph is that the model is given; it always lies in the middle. A model that crops sees most of the
 * centre square, one that stretches sees everything.
 * @param photo the photograph's size in pixels, upright
 * @returns in units of the photograph's short side
 */
export function findHeatmapBox({ width, height, shortSide }: Model['input'], photo: Box): Box {
  if (shortSide) return { width: width / shortSide, height: height / shortSide };
  const short = Math.min(photo.width, photo.height);
  return { width: photo.width / short, height: photo.height / short };
}
