/** Makes small copies of images in a web worker: a phone's photo would block the page for a second. */

/** A smaller copy of an image. */
export interface SmallCopy {
  /** Large enough for a card; undefined if the image is not larger. */
  shown: Blob | undefined;
  /** As a `data:` URI, for this browser to keep. */
  kept: string;
}

/** The short sides, in pixels. A card is at most about 400 CSS pixels wide, on screens with up to two pixels each. */
const SHOWN_SIDE = 800;
const KEPT_SIDE = 320;

addEventListener('message', async ({ data }: MessageEvent<Blob>) => {
  postMessage(await makeSmallCopy(data).catch(() => undefined));
});

async function makeSmallCopy(photograph: Blob): Promise<SmallCopy> {
  const bitmap = await createImageBitmap(photograph);
  try {
    const shown = Math.min(bitmap.width, bitmap.height) > SHOWN_SIDE ? await shrink(bitmap, SHOWN_SIDE) : undefined;
    return { shown, kept: await readDataUri(await shrink(bitmap, KEPT_SIDE)) };
  } finally {
    bitmap.close();
  }
}

function shrink(bitmap: ImageBitmap, side: number): Promise<Blob> {
  const scale = Math.min(1, side / Math.min(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  const context = canvas.getContext('2d')!;
  // The model also gets transparent parts on white.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'medium';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: 'image/jpeg', quality: 0.82 });
}

function readDataUri(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
