const PREFIX = 'inferql.thumbnail.';
const ORDER_KEY = 'inferql.thumbnails';
const MAX_KEPT = 60;

/**
 * Keeps an image's small copy in this browser, so that a prediction's link shows it again. The server keeps no images. The oldest
 * copies make room. If it cannot be kept, the link works without it.
 */
export function keepThumbnail(id: string, image: string): void {
  try {
    const kept = [...readOrder(), id];
    let surplus = Math.max(0, kept.length - MAX_KEPT);
    do {
      for (const old of kept.splice(0, surplus)) localStorage.removeItem(PREFIX + old);
      surplus = 1;
      // The order first, so that each copy that is kept can make room.
    } while (!(store(ORDER_KEY, JSON.stringify(kept)) && store(PREFIX + id, image)) && kept.length > 1);
  } catch {
    // Only a convenience.
  }
}

/** Returns whether there was room for it. */
function store(key: string, value: string): boolean {
  try {
    localStorage.setItem(key, value);
    return true;
  } catch {
    return false;
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
