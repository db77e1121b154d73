import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ModelSpec } from '@inferql/converter/spec/spec';
import { prepareImage } from '@inferql/images/preprocess';

const PREPARED = 48;
const MAX_PIXELS = 64e6;

/** The images of a folder; by default of ../shared/images if it exists, else the project's samples. */
export function findImages(folder?: string): string[] {
  const folders = folder ? [folder] : ['../shared/images', 'bench/samples'];
  for (const candidate of folders) {
    try {
      const names = readdirSync(candidate).filter((name) => /\.(jpe?g|png)$/i.test(name));
      if (names.length > 0) return names.sort().map((name) => resolve(candidate, name));
    } catch {}
  }
  throw new Error(`no images in ${folders.join(' or ')}`);
}

/** Writes a few of them as the model's input, one after the other. `size`: height, width, channels. */
export async function preparePixels(
  input: ModelSpec['input'],
  images: string[],
  dir: string,
): Promise<{ pixelsPath: string; size: [number, number, number] }> {
  const prepared = await Promise.all(
    Array.from({ length: PREPARED }, (_, index) =>
      prepareImage(readFileSync(images[index % images.length]!), input, MAX_PIXELS),
    ),
  );
  const pixelsPath = join(dir, 'pixels');
  writeFileSync(pixelsPath, Buffer.concat(prepared));
  return { pixelsPath, size: [input.height, input.width, input.channels] };
}
