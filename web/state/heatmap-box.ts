import type { Model } from '@inferql/client';

/** Width and height, in any unit. */
export interface Box {
  width: number;
  height: number;
}

type CropRule = Pick<
  Model['input'],
  'width' | 'height' | 'shortSide' | 'stretchTo' | 'cropFraction' | 'cover' | 'padColor'
>;

/**
 * The size of the part of an image that the model gets; the part is always centered. For a model that pads, it is larger than the image.
 * @param photo the image's size in pixels, upright
 * @returns in units of the image's short side
 */
export function findHeatmapBox(rule: CropRule, photo: Box): Box {
  const seen = findSeenPart(rule, photo);
  const short = Math.min(photo.width, photo.height);
  return { width: seen.width / short, height: seen.height / short };
}

/** In pixels of the image: what `planCrop` in images/crop.ts does, without its rounding. */
function findSeenPart(
  { width, height, shortSide, stretchTo, cropFraction, cover, padColor }: CropRule,
  photo: Box,
): Box {
  const scaled = (scale: number) => ({ width: width * scale, height: height * scale });
  if (shortSide) return scaled(Math.min(photo.width, photo.height) / shortSide);
  if (padColor) return scaled(Math.max(photo.width / width, photo.height / height));
  if (cover) return scaled(Math.min(photo.width / width, photo.height / height) * (cropFraction ?? 1));
  if (stretchTo) return { width: (photo.width * width) / stretchTo, height: (photo.height * height) / stretchTo };
  const share = cropFraction ?? 1;
  return { width: photo.width * share, height: photo.height * share };
}
