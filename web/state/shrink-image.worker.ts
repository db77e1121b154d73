/** Makes smaller images in a web worker: a phone's photo would block the page for a second. */

/** A smaller copy of an image. */
export interface SmallCopy {
  /** Large enough for a card; undefined if the image is not larger. */
  shown: Blob | undefined;
  /** As a `data:` URI, for this browser to keep. */
  kept: string;
}

/** What the worker is asked for. It answers undefined if the browser cannot read the image. */
export type ImageTask =
  | { kind: 'copy'; image: Blob }
  | { kind: 'fit'; image: Blob; maxPixels: number; maxBytes: number };

/** The short sides, in pixels. A card is at most about 400 CSS pixels wide, on screens with up to two pixels each. */
const SHOWN_SIDE = 800;
const KEPT_SIDE = 320;
/** Of a long and narrow image, a copy has at most as many pixels as four squares of the short side. */
const MAX_SQUARES = 4;
const COPY_QUALITY = 0.82;
/** No model takes more than some 600 pixels a side: what is sent is four times that, in high quality. */
const FIT_SIDE = 2_400;
const FIT_QUALITY = 0.92;
const MAX_FIT_TRIES = 6;

addEventListener('message', async ({ data }: MessageEvent<ImageTask>) => {
  const work = data.kind === 'copy' ? makeSmallCopy(data.image) : fit(data.image, data.maxPixels, data.maxBytes);
  postMessage(await work.catch(() => undefined));
});

async function makeSmallCopy(image: Blob): Promise<SmallCopy> {
  const bitmap = await createImageBitmap(image);
  try {
    const { width, height } = bitmap;
    const scaleTo = (side: number) =>
      Math.min(side / Math.min(width, height), side * Math.sqrt(MAX_SQUARES / (width * height)));
    const scale = scaleTo(SHOWN_SIDE);
    const shown = scale < 1 ? await draw(bitmap, scale, COPY_QUALITY) : undefined;
    return { shown, kept: await readDataUri(await draw(bitmap, scaleTo(KEPT_SIDE), COPY_QUALITY)) };
  } finally {
    bitmap.close();
  }
}

/** The image as a JPEG within the limits. */
async function fit(image: Blob, maxPixels: number, maxBytes: number): Promise<Blob | undefined> {
  const bitmap = await createImageBitmap(image);
  try {
    const { width, height } = bitmap;
    let scale = Math.min(1, FIT_SIDE / Math.min(width, height), Math.sqrt(maxPixels / (width * height)) * 0.999);
    for (let tries = 0; tries < MAX_FIT_TRIES; tries++, scale *= 0.7) {
      const fitted = await draw(bitmap, scale, FIT_QUALITY);
      if (fitted.size <= maxBytes) return fitted;
    }
    return undefined;
  } finally {
    bitmap.close();
  }
}

/** @param scale above 1: as large as it is */
function draw(bitmap: ImageBitmap, scale: number, quality: number): Promise<Blob> {
  const size = (side: number) => Math.max(1, Math.round(side * Math.min(1, scale)));
  const canvas = new OffscreenCanvas(size(bitmap.width), size(bitmap.height));
  const context = canvas.getContext('2d')!;
  // The model also gets transparent parts on white.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'medium';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: 'image/jpeg', quality });
}

function readDataUri(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
