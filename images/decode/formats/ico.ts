import { bmpRowBytes, readBmpLayout } from '../../inspect/bmp.ts';
import { refuseDamage } from '../../inspect/refusals.ts';
import { decodeBitmap } from './bmp.ts';
import type { RawImage } from './raw-image.ts';

/**
 * Decodes an icon's bitmap: rows of pixels, then a mask of one bit per pixel, which counts if the pixels have no alpha.
 * @param bitmap the entry's bytes, which begin with the information header
 * @throws InferqlError CORRUPT; RangeError if the bitmap is truncated
 */
export function decodeIconBitmap(bitmap: Buffer): RawImage {
  const doubled = readBmpLayout(bitmap, 0, 0);
  const { width, bits } = doubled;
  const height = doubled.height >> 1;
  if (doubled.compression === 1 || doubled.compression === 2) throw refuseDamage();
  const hasAlphaByte = bits === 32;
  const masks: [number, number, number, number] = hasAlphaByte ? [0xff0000, 0xff00, 0xff, 0xff000000] : doubled.masks;
  const image = decodeBitmap(bitmap, { ...doubled, height, masks, hasAlpha: hasAlphaByte });
  if (image.channels === 4) return image;
  const maskAt = doubled.pixels + bmpRowBytes(width, bits) * height;
  const maskRowBytes = bmpRowBytes(width, 1);
  if (maskAt + maskRowBytes * height > bitmap.length) return image;
  const data = Buffer.allocUnsafe(width * height * 4);
  for (let y = 0; y < height; y++) {
    const row = maskAt + (doubled.isTopDown ? y : height - 1 - y) * maskRowBytes;
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      image.data.copy(data, 4 * at, 3 * at, 3 * at + 3);
      const isHidden = (bitmap[row + (x >> 3)]! >> (7 - (x & 7))) & 1;
      data[4 * at + 3] = isHidden ? 0 : 255;
    }
  }
  return { data, width, height, channels: 4 };
}
