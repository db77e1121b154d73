import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import sharp, { type Sharp } from 'sharp';
import { openImage } from './decode/open.ts';
import type { ImageFacts } from './inspect/facts.ts';
import { inspectImage } from './inspect/inspect.ts';
import { checkLimits, MAX_COST_MS, refuseDamage } from './inspect/refusals.ts';

/** Longer than this many times its width (or the reverse), an image is cut to its middle before it is resized. */
const MAX_ASPECT_RATIO = 64;

type ModelInput = ServedModel['input'];

/**
 * Turns an image file's bytes into a model's input: upright, sRGB, transparency laid on white, resized as the model says.
 * @returns uint8, height x width x channels, channels last
 * @throws InferqlError EMPTY, UNSUPPORTED_FORMAT, TOO_MANY_PIXELS or TOO_COMPLEX (both before anything is decoded), CORRUPT, or UNAVAILABLE if
 * the time limit passed
 */
export async function prepareImage(file: Buffer, input: ModelInput, maxPixels: number): Promise<Buffer> {
  const facts = inspectImage(file);
  checkLimits(facts, { maxPixels, maxCostMs: MAX_COST_MS, maxMemoryBytes: Number.POSITIVE_INFINITY });
  return decodeImage(file, facts, input);
}

/**
 * As `prepareImage`, for a file that was inspected and compared with the limits.
 * @throws InferqlError UNSUPPORTED_FORMAT, CORRUPT or UNAVAILABLE
 */
export async function decodeImage(file: Buffer, facts: ImageFacts, input: ModelInput): Promise<Buffer> {
  try {
    const image = await openImage(file, facts);
    return await render(isTooLong(facts, input) ? await cutMiddle(image) : image, input);
  } catch (error) {
    throw describeFailure(error);
  }
}

/** The library's own errors are damage, but for its time limit. */
function describeFailure(error: unknown): InferqlError {
  if (error instanceof InferqlError) return error;
  if (error instanceof Error && error.message.startsWith('timeout')) {
    const message = 'The image could not be decoded in time. Try again a little later.';
    return new InferqlError('UNAVAILABLE', { message, retryAfterMs: 5_000, cause: error });
  }
  return refuseDamage(error);
}

/** A panorama of extreme length would be enlarged beyond what the library can address. */
function isTooLong({ width, height }: ImageFacts, { shortSide }: ModelInput): boolean {
  return shortSide !== undefined && Math.max(width / height, height / width) > MAX_ASPECT_RATIO;
}

async function cutMiddle(image: Sharp): Promise<Sharp> {
  const { data, info } = await image.autoOrient().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const cutWidth = Math.min(width, height * MAX_ASPECT_RATIO);
  const cutHeight = Math.min(height, width * MAX_ASPECT_RATIO);
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false }).extract({
    left: (width - cutWidth) >> 1,
    top: (height - cutHeight) >> 1,
    width: cutWidth,
    height: cutHeight,
  });
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
