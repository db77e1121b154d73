import sharp, { type SharpOptions } from 'sharp';
import type { TiffFacts } from '../../inspect/image-facts.ts';
import { refuseFeature } from '../../inspect/refusals.ts';
import { openTiffDirectory } from '../../inspect/tiff-directory.ts';
import { decodeCmyk } from './cmyk.ts';
import { turnUpright } from './orientation.ts';
import type { RawImage } from './raw-image.ts';
import { stackTiles, unstackTiles } from './tiff-tiles.ts';

const ORIENTATION = 274;

/** Whether the library alone reads it correctly: strips of 8 or 16 bits, with alpha only if the file says so. */
export function isPlainTiff({ tiles, isFloat, extraSamples }: TiffFacts): boolean {
  const [extra, ...more] = extraSamples;
  return !tiles && !isFloat && more.length === 0 && extra !== 0;
}

/** Whether it is a JPEG that the TIFF around it turns. */
export const isTurnedJpeg = ({ embeddedJpeg, orientation }: TiffFacts): boolean =>
  embeddedJpeg !== undefined && orientation >= 2 && orientation <= 8;

export const isCmykTiff = ({ photometric }: TiffFacts): boolean => photometric === 5;

/** Readers ignore an orientation that does not exist, but the library refuses the file. */
export function fixOrientation(file: Buffer, { orientation, isLittleEndian }: TiffFacts): Buffer {
  if (orientation >= 1 && orientation <= 8) return file;
  const entry = openTiffDirectory(file).entries.find(({ tag }) => tag === ORIENTATION);
  if (!entry) return file;
  const fixed = Buffer.from(file);
  fixed.fill(0, entry.values, entry.values + entry.bytes);
  fixed[isLittleEndian ? entry.values : entry.values + entry.bytes / entry.count - 1] = 1;
  return fixed;
}

/** Decodes the JPEG inside a TIFF upright, as the TIFF says. */
export async function decodeTurnedJpeg(jpeg: Buffer, facts: TiffFacts, options: SharpOptions): Promise<RawImage> {
  const { channels, ...image } = await readBytes(jpeg, options);
  return turnUpright({ ...image, channels: channels === 1 ? 1 : 3 }, facts.orientation);
}

/**
 * Decodes what the library alone reads incorrectly.
 * @throws InferqlError UNSUPPORTED_FORMAT; the library's errors for damage
 */
export async function decodeTiff(file: Buffer, facts: TiffFacts, options: SharpOptions): Promise<RawImage> {
  if (facts.extraSamples.length > 0 && ![0, 1, 2, 6].includes(facts.photometric)) {
    throw refuseFeature('TIFF with a palette or CMYK and further channels');
  }
  const source = facts.tiles ? stackTiles(file, facts) : file;
  const stacked = await readSamples(source, facts, options);
  const image = facts.tiles ? unstackTiles(stacked, facts) : stacked;
  return turnUpright(layOnWhite(image, facts), facts.orientation);
}

/** Pixels with as many channels as the file has: more than four are possible until they are composited on white. */
interface WideImage extends Omit<RawImage, 'channels'> {
  channels: number;
}

function readSamples(file: Buffer, facts: TiffFacts, options: SharpOptions): Promise<WideImage> {
  if (facts.isFloat) return readFloats(file, options);
  if (isCmykTiff(facts) && options.ignoreIcc) return decodeCmyk(sharp(file, options));
  return readBytes(file, options);
}

async function readBytes(file: Buffer, options: SharpOptions): Promise<WideImage> {
  const { data, info } = await sharp(file, options)
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

/** Floating-point samples have no prescribed range; 0 to 1 is what programs write, and the only range that can be detected. */
async function readFloats(file: Buffer, options: SharpOptions): Promise<WideImage> {
  const image = sharp(file, options);
  const { channels } = await image.metadata();
  const { data, info } = await image
    .toColourspace(channels < 3 ? 'b-w' : 'scrgb')
    .raw({ depth: 'float' })
    .toBuffer({ resolveWithObject: true });
  const samples = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  const bytes = Buffer.allocUnsafe(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    if (!(sample >= 0 && sample <= 1)) throw refuseFeature('TIFF with floating-point samples outside 0 to 1');
    bytes[i] = Math.round(sample * 255);
  }
  return { data: bytes, width: info.width, height: info.height, channels: info.channels };
}

/**
 * The first channel that the file declares as alpha counts, the others (spot colors, masks, depth) do not. The library has divided the colors
 * by an alpha that they were multiplied by.
 */
function layOnWhite({ data, width, height, channels }: WideImage, { extraSamples }: TiffFacts): RawImage {
  const extras = extraSamples.length;
  const colors = channels - extras >= 3 ? 3 : 1;
  const alpha = extraSamples.findIndex((meaning) => meaning === 1 || meaning === 2);
  if (extras === 0) return { data, width, height, channels: colors };
  const flat = Buffer.allocUnsafe(width * height * colors);
  for (let from = 0, to = 0; to < flat.length; from += channels) {
    const opacity = alpha < 0 ? 255 : data[from + channels - extras + alpha]!;
    for (let color = 0; color < colors; color++) {
      flat[to++] = Math.round((data[from + color]! * opacity) / 255) + 255 - opacity;
    }
  }
  return { data: flat, width, height, channels: colors };
}
