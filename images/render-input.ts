import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Sharp } from 'sharp';
import { createFitThread } from './fit-thread.ts';
import type { Pixels } from './resize/pixels.ts';
import { isResizeName, type ResizeName } from './resize/resize-names.ts';

export type ModelInput = ServedModel['input'];
type SharpKernel = 'linear' | 'cubic' | 'nearest' | 'lanczos3';

/** The default of `input.resize`: sharp's resize, whose `kernel` is a separate field. */
export function resizeOf({ resize, kernel }: Pick<ModelInput, 'resize' | 'kernel'>): string {
  return resize ?? `sharp-${kernel}`;
}

/**
 * Whether an embedded color profile is ignored. The libraries that train models read stored numbers unconverted; a browser's
 * canvas converts them, and so does sharp.
 */
export function ignoresProfile(input: Pick<ModelInput, 'resize' | 'kernel' | 'colorProfile'>): boolean {
  if (input.colorProfile !== undefined) return input.colorProfile === 'ignore';
  const resize = resizeOf(input);
  return !resize.startsWith('sharp-') && resize !== 'canvas';
}

const FIT_MS_PER_MEGAPIXEL = 2;

/** The cost of cropping and resizing. Sharp resizes while it decodes; the other resamplers need the whole image. */
export function estimateFit({ width, height }: { width: number; height: number }, input: ModelInput) {
  if (resizeOf(input).startsWith('sharp-')) return { costMs: 0, memoryBytes: 0 };
  const pixels = width * height;
  return { costMs: (pixels / 1e6) * FIT_MS_PER_MEGAPIXEL, memoryBytes: pixels * (input.channels === 4 ? 4 : 3) };
}

/**
 * Turns an opened image into a model's input: upright, sRGB, transparency composited on white except for a model of four channels,
 * cropped and resized as the model's spec says.
 * @returns uint8, height x width x channels, channels last
 * @throws InferqlError UNAVAILABLE if this version does not know the resize; whatever sharp throws if the image cannot be decoded
 */
export async function renderInput(image: Sharp, input: ModelInput): Promise<Buffer> {
  const resize = resizeOf(input);
  const turned = image.autoOrient();
  const upright = input.channels === 4 ? turned.ensureAlpha() : turned.flatten({ background: '#ffffff' });
  if (resize.startsWith('sharp-')) return resizeBySharp(upright, input, resize.slice('sharp-'.length) as SharpKernel);
  if (!isResizeName(resize)) {
    const message = `This server does not know the resize '${resize}' of the model. Update the server.`;
    throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 10_000 });
  }
  return fitDecoded(await decode(upright), { ...input, resize });
}

async function decode(upright: Sharp): Promise<{ data: Buffer; width: number; height: number; channels: number }> {
  const pipeline = upright.toColourspace('srgb').raw({ depth: 'uchar' });
  const { data, info } = await pipeline.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

const thread = createFitThread();

/** @param decoded gray, gray with alpha, RGB or RGBA */
async function fitDecoded(
  { data, width, height, channels }: Awaited<ReturnType<typeof decode>>,
  input: ModelInput & { resize: ResizeName },
): Promise<Buffer> {
  const source: Pixels =
    channels === 2
      ? { data: convertChannels(data, 2, 4), width, height, channels: 4 }
      : { data, width, height, channels: channels as Pixels['channels'] };
  const pixels = await thread.fit(source, input);
  return Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength);
}

/** Sharp supports two rules: the short side, and stretching. */
async function resizeBySharp(upright: Sharp, input: ModelInput, kernel: SharpKernel): Promise<Buffer> {
  const { width, height, channels, shortSide } = input;
  const resized =
    shortSide !== undefined && shortSide >= width && shortSide >= height
      ? upright
          .resize(shortSide, shortSide, { fit: 'cover', position: 'centre', kernel })
          .extract({ left: (shortSide - width) >> 1, top: (shortSide - height) >> 1, width, height })
      : upright.resize(width, height, { fit: 'fill', kernel });
  const { data, channels: from } = await decode(resized);
  return from === channels ? data : convertChannels(data, from, channels);
}

/**
 * Gray stays one channel in any requested color space, and is repeated. Color becomes gray by ITU-R BT.601, as in the
 * libraries that train models. Transparency has been removed, unless the model takes it as its fourth channel: then gray has
 * two channels.
 */
function convertChannels(data: Buffer, from: number, to: 1 | 3 | 4): Buffer {
  const pixels = data.length / from;
  const converted = Buffer.allocUnsafe(pixels * to);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = pixel * from;
    if (to !== 1) {
      converted.fill(data[at]!, pixel * to, pixel * to + 3);
      if (to === 4) converted[pixel * 4 + 3] = data[at + 1]!;
    } else converted[pixel] = Math.round(0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!);
  }
  return converted;
}
