import { createPlaces } from './places.ts';
import type { SmallCopy } from './shrink.worker.ts';

const PREFIX = 'inferql.thumbnail.';
const ORDER_KEY = 'inferql.thumbnails';
const MAX_KEPT = 60;

/** One at a time: a phone's photograph takes some 50 MB while it is made smaller. */
const places = createPlaces(1);
let worker: Worker | undefined;

/**
 * Makes small copies of a photograph, in its turn.
 * @returns undefined for a format that the browser does not know
 * @throws the signal's reason when it is aborted before its turn
 */
export async function makeSmallCopy(photograph: Blob, signal: AbortSignal): Promise<SmallCopy | undefined> {
  const release = await places.take(signal);
  try {
    worker ??= new Worker(new URL('./shrink.worker.ts', import.meta.url), { type: 'module' });
    return await askWorker(worker, photograph);
  } catch {
    // One that could not be started answers nobody.
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
 * Keeps a photograph's small copy in this browser, so that a prediction's link shows it again. The server keeps no photographs.
 * Where it cannot be kept the link works without it.
 */
export function keepThumbnail(id: string, image: string): void {
  try {
    const kept = readOrder();
    for (const old of kept.splice(0, Math.max(0, kept.length - MAX_KEPT + 1))) localStorage.removeItem(PREFIX + old);
    localStorage.setItem(PREFIX + id, image);
    localStorage.setItem(ORDER_KEY, JSON.stringify([...kept, id]));
  } catch {
    // A convenience: nothing depends on it.
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
