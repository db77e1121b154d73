const PREFIX = 'inferql.thumbnail.';
const ORDER_KEY = 'inferql.thumbnails';
const MAX_KEPT = 60;

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
