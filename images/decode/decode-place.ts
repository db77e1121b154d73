import { needsToneMap } from '../color/tone-map.ts';
import type { ImageFacts } from '../inspect/image-facts.ts';
import { isCmykTiff, isPlainTiff, isTurnedJpeg } from './formats/tiff.ts';

/**
 * Where an image is decoded. `quick` and `medium`: on the threads of this process; medium images leave some threads free for file access.
 * `isolated`: in a process that can be killed, because decoding may take long, or happens in JavaScript, which blocks its thread.
 */
export type DecodePlace = 'quick' | 'medium' | 'isolated';

const QUICK_MS = 30;
const MEDIUM_MS = 300;
/** Images that need more memory than this are decoded in a process, which can return it to the system. */
const MEDIUM_BYTES = 250e6;
/** JavaScript works on fewer pixels than this in 10 ms. */
const MAX_BLOCKING_PIXELS = 300_000;

/** @param fileBytes size of the file: some formats are scanned in JavaScript from begin to end */
export function chooseDecodePlace(facts: ImageFacts, fileBytes: number): DecodePlace {
  if (facts.costMs > MEDIUM_MS || facts.memoryBytes > MEDIUM_BYTES || facts.format === 'heic') return 'isolated';
  if (blocksThread(facts, fileBytes)) return 'isolated';
  return facts.costMs > QUICK_MS ? 'medium' : 'quick';
}

function blocksThread(facts: ImageFacts, fileBytes: number): boolean {
  const isLarge = facts.width * facts.height > MAX_BLOCKING_PIXELS;
  switch (facts.format) {
    case 'jpeg':
      return (isLarge && facts.isCmyk) || (!facts.hasEndMarker && fileBytes > MAX_BLOCKING_PIXELS);
    case 'png':
    case 'avif':
      return isLarge && needsToneMap(facts.color);
    case 'tiff':
      return isLarge && (isCmykTiff(facts) || isTurnedJpeg(facts) || !isPlainTiff(facts));
    case 'bmp':
    case 'ico':
      return isLarge;
    case 'gif':
      return fileBytes > MAX_BLOCKING_PIXELS;
    case 'webp':
    case 'heic':
      return false;
    default:
      return facts satisfies never;
  }
}
