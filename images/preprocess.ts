import { InferqlError } from '@inferql/queue/error-codes';
import sharp, { type Sharp } from 'sharp';
import { openImage } from './decode/decoder-by-format.ts';
import type { ImageFacts } from './inspect/image-facts.ts';
import { inspectImage } from './inspect/inspect.ts';
import { checkLimits, MAX_COST_MS, refuseDamage } from './inspect/refusals.ts';
import { createDecodeThreads } from './plain-jpeg-decoder/decode-threads.ts';
import { isPlainSize } from './plain-jpeg-decoder/plain-jpeg.ts';
import { ignoresProfile, type ModelInput, renderInput, resizeOf } from './render-input.ts';
import { isResizeName } from './resize/resize-names.ts';

/** Longer than this many times its width (or the reverse), an image is cropped to its center before it is resized. */
const MAX_ASPECT_RATIO = 64;

/**
 * Turns an image file's bytes into a model's input: upright, sRGB, transparency composited on white, resized as the model says.
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
 * Like `prepareImage`, for a file that was inspected and compared with the limits.
 * @throws InferqlError UNSUPPORTED_FORMAT, CORRUPT or UNAVAILABLE
 */
export async function decodeImage(file: Buffer, facts: ImageFacts, input: ModelInput): Promise<Buffer> {
  const plain = await preparePlain(file, facts, input);
  if (plain) return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength);
  const decode = async (failOn: 'warning' | 'error') => {
    const image = await openImage(file, facts, { ignoreIcc: ignoresProfile(input), failOn });
    return renderInput(isTooLong(facts, input) ? await cutMiddle(image) : image, input);
  };
  if (facts.format !== 'jpeg') return decode('error').catch(refuse);
  // The JPEG decoder only warns about missing or damaged data, as about harmless things.
  return decode('warning').catch((error) => (isHarmless(error) ? decode('error').catch(refuse) : refuse(error)));
}

const threads = createDecodeThreads();

/** Decodes an ordinary JPEG with the decoder for these. Returns undefined if the general decoder must do it. */
async function preparePlain(file: Buffer, facts: ImageFacts, input: ModelInput): Promise<Uint8Array | undefined> {
  const resize = resizeOf(input);
  const isCandidate = facts.format === 'jpeg' && facts.isOnePass && facts.hasEndMarker && isPlainSize(facts);
  if (!isCandidate || input.channels === 4 || !isResizeName(resize)) return undefined;
  const options = { ignoreIcc: ignoresProfile(input), rule: { ...input, resize } };
  // If its thread ends, the image may still be decoded in general.
  return threads.prepare(file, options).catch(() => undefined);
}

const HARMLESS = /extraneous bytes before marker 0xd9|progression|sequential|Adobe|JFIF|ICC marker/i;

/** Whether a warning of the JPEG decoder concerns something that changes no pixel. */
export function isHarmless(error: unknown): boolean {
  return error instanceof Error && !(error instanceof InferqlError) && HARMLESS.test(error.message);
}

function refuse(error: unknown): never {
  throw describeFailure(error);
}

/** The library's errors mean damage, except for its time limit. */
function describeFailure(error: unknown): InferqlError {
  if (error instanceof InferqlError) return error;
  if (error instanceof Error && error.message.startsWith('timeout')) {
    const message = 'The image could not be decoded in time. Try again a little later.';
    return new InferqlError('UNAVAILABLE', { message, retryAfterMs: 5_000, cause: error });
  }
  return refuseDamage(error);
}

/** A panorama of extreme length would be enlarged beyond what the library can address. */
function isTooLong({ width, height }: ImageFacts, input: ModelInput): boolean {
  const isEnlarged = input.shortSide !== undefined && resizeOf(input).startsWith('sharp-');
  return isEnlarged && Math.max(width / height, height / width) > MAX_ASPECT_RATIO;
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
