import { createRequire } from 'node:module';
import { InferqlError } from '@inferql/queue/error-codes';
import { findOtherItemFlags, readHeifPicture } from '../../inspect/heif-items.ts';
import { refuseDamage } from '../../inspect/refusals.ts';
import { dropAlpha } from './bmp.ts';
import type { RawImage } from './raw-image.ts';

/** Not a dependency: its decoder is LGPL and HEVC is patented, so an operator decides to install it. */
const PACKAGE = 'heic-decode';

type HeicDecoder = (file: { buffer: Buffer }) => Promise<{ width: number; height: number; data: Uint8ClampedArray }>;

const require = createRequire(import.meta.url);

/** Whether the operator has installed the decoder. */
export function canDecodeHeic(): boolean {
  try {
    require.resolve(PACKAGE);
    return true;
  } catch {
    return false;
  }
}

export function refuseHeic(): InferqlError {
  const ways = 'Send it as JPEG, or ask the operator to run `npm install --no-save heic-decode`.';
  return new InferqlError('UNSUPPORTED_FORMAT', { message: `This server does not read HEIC. ${ways}` });
}

/**
 * Decodes the primary picture, rotated and cropped as the file says, in WebAssembly. It blocks the thread and keeps memory, so it is
 * only called in processes that can be ended.
 * @returns pixels in the file's color space, and its profile if it has one
 * @throws InferqlError CORRUPT
 */
export async function decodeHeic(file: Buffer): Promise<{ image: RawImage; profile: Buffer | undefined }> {
  const decode = require(PACKAGE) as HeicDecoder;
  const profile = readHeifPicture(file)?.properties.get('colr/prof')?.subarray(4);
  try {
    const { width, height, data } = await decode({ buffer: withPrimaryOnly(file) });
    const rgba = Buffer.from(data.buffer, data.byteOffset, data.length);
    const image = isOpaque(rgba) ? dropAlpha(rgba, width, height) : { data: rgba, width, height, channels: 4 as const };
    return { image, profile };
  } catch (error) {
    throw refuseDamage(error);
  }
}

function isOpaque(rgba: Buffer): boolean {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 255) return false;
  return true;
}

/** The decoder takes the first picture that is not hidden, and reports an unusual first brand as unknown. */
function withPrimaryOnly(file: Buffer): Buffer {
  const copy = Buffer.from(file);
  for (const at of findOtherItemFlags(file)) copy[at]! |= 1;
  copy.write('heic', 8, 'latin1');
  return copy;
}
