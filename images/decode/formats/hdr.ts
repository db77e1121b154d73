import type { Sharp } from 'sharp';
import { toneMap } from '../../color/tone-map.ts';
import type { ColorCoding } from '../../inspect/image-facts.ts';
import type { RawImage } from './raw-image.ts';

/** Tone mapping is arithmetic in JavaScript, 60 ns per pixel: more pixels than this are not worth it for a model's input. */
const MAX_SIDE = 1_600;

/** @param image opened without color conversion */
export async function decodeHdr(image: Sharp, color: ColorCoding): Promise<RawImage> {
  const { data, info } = await image
    .autoOrient()
    .resize(MAX_SIDE, MAX_SIDE, { fit: 'inside', withoutEnlargement: true })
    .toColourspace('rgb16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  const channels = info.channels === 4 ? 4 : 3;
  const pixels = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  return { data: toneMap(pixels, channels, color), width: info.width, height: info.height, channels };
}
