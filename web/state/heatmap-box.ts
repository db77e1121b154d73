import type { Model } from '@inferql/client';

/** Width and height, in any unit. */
export interface Box {
  width: number;
  height: number;
}

/**
 * The size of the part of an image that the model gets; the part is always centered. A model that crops sees most of the center
 * square, one that stretches sees everything.
 * @param photo the image's size in pixels, upright
 * @returns in units of the image's short side
 */
export function findHeatmapBox(
  { width, height, shortSide }: Pick<Model['input'], 'width' | 'height' | 'shortSide'>,
  photo: Box,
): Box {
  if (shortSide) return { width: width / shortSide, height: height / shortSide };
  const short = Math.min(photo.width, photo.height);
  return { width: photo.width / short, height: photo.height / short };
}
