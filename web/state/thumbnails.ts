const PREFIX = 'inferql.thumbnail.';
const ORDER_KEY = 'inferql.thumbnails';
const MAX_KEPT = 60;
const SIDE = 320;

/** A small copy of a photograph as a `data:` URI; undefined for a format that the browser does not know. */
export async function makeThumbnail(file: Blob): Promise<string | undefined> {
  return shrink(file).catch(() => undefined);
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

async function shrink(file: Blob): Promise<string> {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.min(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL('image/jpeg', 0.8);
}
