import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import sharp, { type Sharp } from 'sharp';
import { hasSrgbProfile } from './srgb-profile.ts';
import { type ImageFormat, isWhole } from './truncation.ts';

// Photographs do not come twice, and one thread each lets several be decoded at once without waiting for each other.
sharp.cache(false);
sharp.concurrency(1);
// A phone's photograph for HDR displays is a JPEG with a second picture behind it, which no model wants: as the plain JPEG that it is, it takes
// a fifth less CPU, and the second picture's parser does not see hostile files.
sharp.block({ operation: ['VipsForeignLoadUhdr'] });

/** A decoder that takes longer than this is stuck on a hostile file. */
const DECODE_LIMIT_SECONDS = 30;
/** Longer than this many times its width (or the reverse), an image is cut to its middle before it is resized. */
const MAX_ASPECT_RATIO = 64;

type ModelInput = ServedModel['input'];

/**
 * Turns a photograph's bytes into a model's input: upright, sRGB, transparency laid on white, resized as the model says.
 * @returns uint8, height x width x channels, channels last
 * @throws InferqlError EMPTY, UNSUPPORTED_FORMAT, TOO_MANY_PIXELS (told from the header) or CORRUPT
 */
export async function prepareImage(file: Buffer, input: ModelInput, maxPixels: number): Promise<Buffer> {
  if (file.length === 0) throw new InferqlError('EMPTY');
  const format = detectFormat(file);
  if (!format) throw new InferqlError('UNSUPPORTED_FORMAT');
  const pixels = await render(open(file, maxPixels), input).catch((cause) =>
    explainFailure(file, input, maxPixels, cause),
  );
  if (!isWhole(file, format)) throw new InferqlError('CORRUPT');
  return pixels;
}

function open(file: Buffer, maxPixels: number): Sharp {
  const ignoreIcc = hasSrgbProfile(file);
  const image = sharp(file, { failOn: 'error', limitInputPixels: maxPixels, sequentialRead: true, ignoreIcc });
  return image.timeout({ seconds: DECODE_LIMIT_SECONDS });
}

async function render(image: Sharp, input: ModelInput): Promise<Buffer> {
  const { width, height, channels, shortSide, kernel } = input;
  const turned = image.autoOrient();
  const upright = channels === 4 ? turned.ensureAlpha() : turned.flatten({ background: '#ffffff' });
  const resized =
    shortSide !== undefined && shortSide >= width && shortSide >= height
      ? upright
          .resize(shortSide, shortSide, { fit: 'cover', position: 'centre', kernel })
          .extract({ left: (shortSide - width) >> 1, top: (shortSide - height) >> 1, width, height })
      : upright.resize(width, height, { fit: 'fill', kernel });
  const { data, info } = await resized
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return (info.channels as number) === channels ? data : convertChannels(data, info.channels, channels);
}

/**
 * Grey stays one channel whatever colour space is asked for, and is repeated; colour becomes grey by ITU-R BT.601, as the
 * libraries do that models are trained with. Transparency is gone by
 * now, except where the model takes it as its fourth channel: then grey has two.
 */
function convertChannels(data: Buffer, from: number, to: 1 | 3 | 4): Buffer {
  const pixels = data.length / from;
  const converted = Buffer.allocUnsafe(pixels * to);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = pixel * from;
    if (to !== 1) {
      converted.fill(data[at]!, pixel * to, pixel * to + 3);
      if (to === 4) converted[pixel * 4 + 3] = data[at + 1]!;
    } else if (from < 3) converted[pixel] = data[at]!;
    else converted[pixel] = Math.round(0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!);
  }
  return converted;
}

/** The way without errors reads the header once only; which error it was is found out here. */
async function explainFailure(file: Buffer, input: ModelInput, maxPixels: number, cause: unknown): Promise<Buffer> {
  let size: { width: number; height: number };
  try {
    const { width, height } = await sharp(file, { failOn: 'none', limitInputPixels: false }).metadata();
    size = { width, height };
  } catch {
    throw new InferqlError('CORRUPT', { cause });
  }
  if (size.width * size.height > maxPixels) throw new InferqlError('TOO_MANY_PIXELS', { cause });
  const ratio = Math.max(size.width / size.height, size.height / size.width);
  if (input.shortSide === undefined || ratio <= MAX_ASPECT_RATIO) throw new InferqlError('CORRUPT', { cause });
  try {
    return await render(sharp(await cutMiddle(file, size, maxPixels)), input);
  } catch (error) {
    throw new InferqlError('CORRUPT', { cause: error });
  }
}

/** A panorama of extreme length would be enlarged beyond what the library can address. */
async function cutMiddle(file: Buffer, { width, height }: { width: number; height: number }, maxPixels: number) {
  const cutWidth = Math.min(width, height * MAX_ASPECT_RATIO);
  const cutHeight = Math.min(height, width * MAX_ASPECT_RATIO);
  return open(file, maxPixels)
    .extract({ left: (width - cutWidth) >> 1, top: (height - cutHeight) >> 1, width: cutWidth, height: cutHeight })
    .keepMetadata()
    .png()
    .toBuffer();
}

/**
 * The format by its first bytes. Nothing else reaches a decoder: what the library can read beside these (SVG, PDF, HEIC, raw
 * arrays) is refused.
 */
function detectFormat(file: Buffer): ImageFormat | undefined {
  const text = (start: number, end: number) => file.toString('latin1', start, end);
  if (file.length >= 3 && file[0] === 0xff && file[1] === 0xd8 && file[2] === 0xff) return 'jpeg';
  if (text(0, 8) === '\x89PNG\r\n\x1a\n') return 'png';
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return 'webp';
  if (text(0, 6) === 'GIF87a' || text(0, 6) === 'GIF89a') return 'gif';
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(text(0, 4))) return 'tiff';
  if (text(4, 8) === 'ftyp' && namesAvif(file)) return 'avif';
  return undefined;
}

/** AVIF files name their brand first or among the compatible ones of the `ftyp` box. */
function namesAvif(file: Buffer): boolean {
  const boxLength = Math.min(file.readUInt32BE(0), file.length, 256);
  for (let offset = 8; offset + 4 <= boxLength; offset += 4) {
    const brand = file.toString('latin1', offset, offset + 4);
    if (brand === 'avif' || brand === 'avis') return true;
  }
  return false;
}
