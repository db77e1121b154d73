import sharp from 'sharp';
import type { InputSpec } from './spec.ts';

/**
 * Decodes a trusted photograph to what a model's input takes: uint8 [height, width, channels].
 * Uploads take another way, with limits and typed refusals.
 */
export async function readSample(file: string, input: InputSpec): Promise<Uint8Array> {
  const { width, height, shortSide, kernel } = input;
  const upright = sharp(file).autoOrient().flatten({ background: '#ffffff' });
  const resized =
    shortSide === undefined
      ? upright.resize(width, height, { fit: 'fill', kernel })
      : upright
          .resize(shortSide, shortSide, { fit: 'cover', position: 'centre', kernel })
          .extract({ left: (shortSide - width) >> 1, top: (shortSide - height) >> 1, width, height });
  const pixels = await resized
    .toColourspace(input.channels === 1 ? 'b-w' : 'srgb')
    .raw()
    .toBuffer();
  return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
}
