/** What the browser makes of images itself, one at a time: reading a phone's photo takes some 50 MB. */
import type { Limits } from '@inferql/client';
import type { ImageTask, SmallCopy } from './shrink-image.worker.ts';

/** An image that is sent instead of the chosen file. */
export interface FittedImage {
  image: Blob;
  /** What was done to it. */
  change: 'smaller' | 'converted';
}

/** Large enough for servers that do not report their limits. */
const FALLBACK_LIMITS = { maxPixels: 16_000_000, maxUploadBytes: 8_000_000 };
/** Brands of HEIC and HEIF files, in their first bytes. */
const HEIC_BRANDS = ['heic', 'heix', 'hevc', 'hevx', 'heim', 'heis', 'mif1', 'msf1'];

let worker: Worker | undefined;
let previous: Promise<unknown> = Promise.resolve();

/**
 * Makes small copies of an image, when its turn has come.
 * @returns undefined for a format that the browser does not support
 * @throws the signal's reason when it is aborted before its turn
 */
export function makeSmallCopy(image: Blob, signal: AbortSignal): Promise<SmallCopy | undefined> {
  return ask<SmallCopy>({ kind: 'copy', image }, signal);
}

/**
 * Makes a JPEG of an image that the server does not take as it is.
 * @returns undefined for a format that the browser does not support
 * @throws the signal's reason when it is aborted before its turn
 */
export async function fitImage(
  file: File,
  limits: Limits | undefined,
  signal: AbortSignal,
): Promise<FittedImage | undefined> {
  const { maxPixels, maxUploadBytes } = limits ?? FALLBACK_LIMITS;
  const image = await ask<Blob>({ kind: 'fit', image: file, maxPixels, maxBytes: maxUploadBytes }, signal);
  return image && { image, change: (await isHeic(file)) ? 'converted' : 'smaller' };
}

/** Whether a file is HEIC or HEIF, whatever its name says. */
export async function isHeic(file: Blob): Promise<boolean> {
  const bytes = await file
    .slice(4, 12)
    .arrayBuffer()
    .catch(() => new ArrayBuffer(0));
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return text.startsWith('ftyp') && HEIC_BRANDS.includes(text.slice(4));
}

function ask<Answer>(task: ImageTask, signal: AbortSignal): Promise<Answer | undefined> {
  const answer = previous.then(async () => {
    signal.throwIfAborted();
    try {
      worker ??= new Worker(new URL('./shrink-image.worker.ts', import.meta.url), { type: 'module' });
      return await askWorker<Answer>(worker, task);
    } catch {
      // A worker that could not be started never answers.
      worker = undefined;
      return undefined;
    }
  });
  previous = answer.catch(() => {});
  return answer;
}

function askWorker<Answer>(asked: Worker, task: ImageTask): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    asked.onmessage = ({ data }: MessageEvent<Answer | undefined>) => resolve(data);
    asked.onerror = () => reject(new Error('The worker for images failed'));
    asked.postMessage(task);
  });
}
