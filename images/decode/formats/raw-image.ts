import sharp, { type Sharp } from 'sharp';

/** Upright 8-bit sRGB pixels, channels last. */
export interface RawImage {
  data: Buffer;
  width: number;
  height: number;
  channels: 1 | 2 | 3 | 4;
}

/** Pixels as a pipeline of the library, like those of a file. */
export function openRaw({ data, width, height, channels }: RawImage): Sharp {
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
}
