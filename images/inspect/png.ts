import { type ColorCoding, megapixels, type PngFacts, pixelBytes } from './facts.ts';
import { refuseDamage, refuseFeature, refuseWork } from './refusals.ts';

/** CPU milliseconds per megapixel and byte of a pixel. */
const PLAIN_MS = 2.2;
const INTERLACED_MS = 6;
/** Encoders write 8 kB or more at once: 1,300 chunks in 10 MB. */
const MAX_CHUNKS = 50_000;
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** @throws InferqlError CORRUPT, UNSUPPORTED_FORMAT or TOO_COMPLEX */
export function inspectPng(file: Buffer): PngFacts {
  if (file.toString('latin1', 12, 16) === 'CgBI') {
    throw refuseFeature("PNG in Apple's own variant (CgBI), as apps for iOS contain it");
  }
  if (file.length < 33 || file.toString('latin1', 12, 16) !== 'IHDR') throw refuseDamage();
  const width = file.readUInt32BE(16);
  const height = file.readUInt32BE(20);
  const depth = file[24]!;
  const channels = CHANNELS[file[25]!];
  const isInterlaced = file[28] === 1;
  if (width === 0 || height === 0 || !channels || ![1, 2, 4, 8, 16].includes(depth)) throw refuseDamage();
  const { isWhole, color } = readChunks(file);
  const sampleBytes = depth === 16 ? 2 : 1;
  const bytes = channels * sampleBytes;
  return {
    format: 'png',
    width,
    height,
    costMs: megapixels(width, height) * bytes * (isInterlaced ? INTERLACED_MS : PLAIN_MS) + file.length / 1e6,
    memoryBytes:
      (isInterlaced ? pixelBytes(width, height, bytes) : 0) + pixelBytes(width, height, Math.max(3, channels)),
    isWhole,
    color,
  };
}

function readChunks(file: Buffer): { isWhole: boolean; color: ColorCoding | undefined } {
  let color: ColorCoding | undefined;
  let chunks = 0;
  for (let at = 8; at + 12 <= file.length; at += 12 + file.readUInt32BE(at)) {
    if (++chunks > MAX_CHUNKS) throw refuseWork(`more than ${MAX_CHUNKS} chunks`);
    const name = file.toString('latin1', at + 4, at + 8);
    if (name === 'cICP') color = { primaries: file[at + 8]!, transfer: file[at + 9]! };
    if (name === 'IEND') return { isWhole: true, color };
  }
  return { isWhole: false, color };
}
