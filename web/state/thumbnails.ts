import { createPlaces } from './places.ts';
import type { SmallCopy } from './shrink.worker.ts';

const PREFIX = 'inferql.thumbnail.';
const ORDER_KEY = 'inferql.thumbnails';
const MAX_KEPT = 60;

/** One at a time: shrinking a phone's photo takes some 50 MB. */
const places = createPlaces(1);
let worker: Worker | undefined;

/**
 * Makes small copies of an image, when its turn has come.
 * @returns undefined for a format that the browser does not support
 * @throws the signal's reason when it is aborted before its turn
 */
export async function makeSmallCopy(photograph: Blob, signal: AbortSignal): Promise<SmallCopy | undefined> {
  const release = await places.take(signal);
  try {
    worker ??= new Worker(new URL('./shrink.worker.ts', import.meta.url), { type: 'module' });
    return await askWorker(worker, photograph);
  } catch {
    // A worker that could not be started never answers.
    worker = undefined;
    return undefined;
  } finally {
    release();
  }
}

function askWorker(asked: Worker, photograph: Blob): Promise<SmallCopy | undefined> {
  return new Promise((resolve, reject) => {
    asked.onmessage = ({ data }: MessageEvent<SmallCopy | undefined>) => resolve(data);
    asked.onerror = () => reject(new Error('The worker for small copies failed'));
    asked.postMessage(photograph);
  });
}

/**
 * Keeps an image's small copy in this browser, so that a prediction's link shows it again. The server keeps no images.
 * If it cannot be kept, the link works without it.
 */
export function keepThumbnail(id: string, image: string): void {
  try {
    const kept = readOrder();
    for (const old of kept.splice(0, Math.max(0, kept.length - MAX_KEPT + 1))) localStorage.removeItem(PREFIX + old);
    localStorage.setItem(PREFIX + id, image);
    localStorage.setItem(ORDER_KEY, JSON.stringify([...kept, id]));
  } catch {
    // Only a convenience.
  }
}

/** The kept copy as a `data:` URI, or undefined. */
export function readThumbnail(id: string): string | undefined {
  try {
    return localStorage.getItem(PREFIX + id) ?? undefined;
  } catch {
    return undefined;
  }
}

function readOrder(): string[] {
  const kept: unknown = JSON.parse(localStorage.getItem(ORDER_KEY) ?? '[]');
  return Array.isArray(kept) ? kept.filter((id) => typeof id === 'string') : [];
}
