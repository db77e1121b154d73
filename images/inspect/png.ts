import { crc32 } from 'node:zlib';
import { type ColorCoding, megapixels, type PngFacts, pixelBytes } from './image-facts.ts';
import { refuseDamage, refuseFeature, refuseWork } from './refusals.ts';

/** CPU milliseconds per megapixel and byte of a pixel. */
const PLAIN_MS = 2.2;
const INTERLACED_MS = 6;
/** Encoders write 8 kB or more at once: 1,300 chunks in 10 MB. */
const MAX_CHUNKS = 50_000;
/** Some encoders pad. */
const SLACK_BYTES = 65_536;
const [IDAT, IEND, CICP] = [0x49444154, 0x49454e44, 0x63494350];
/** What says how numbers become colors, and the orientation. The decoder skips these if they are damaged. */
const CHECKED = new Set(['cICP', 'iCCP', 'gAMA', 'cHRM', 'sRGB', 'sBIT', 'tRNS', 'eXIf'].map(codeOf));
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** @throws InferqlError CORRUPT, UNSUPPORTED_FORMAT or TOO_COMPLEX */
export function inspectPng(file: Buffer): PngFacts {
  if (file.toString('latin1', 12, 16) === 'CgBI') {
    throw refuseFeature("PNG in Apple's variant (CgBI), which iOS apps contain");
  }
  if (file.length < 33 || file.toString('latin1', 12, 16) !== 'IHDR') throw refuseDamage();
  const width = file.readUInt32BE(16);
  const height = file.readUInt32BE(20);
  const depth = file[24]!;
  const channels = CHANNELS[file[25]!];
  const isInterlaced = file[28] === 1;
  if (width === 0 || height === 0 || !channels || ![1, 2, 4, 8, 16].includes(depth)) throw refuseDamage();
  const sampleBytes = depth === 16 ? 2 : 1;
  const bytes = channels * sampleBytes;
  const storedBytes = 2 * height + pixelBytes(width, height, bytes);
  const { isWhole, color } = readChunks(file, storedBytes * 1.05 + SLACK_BYTES);
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

function codeOf(name: string): number {
  return Buffer.from(name, 'latin1').readUInt32BE();
}

function isIntact(file: Buffer, at: number): boolean {
  const end = at + 8 + file.readUInt32BE(at);
  return end + 4 <= file.length && crc32(file.subarray(at + 4, end)) === file.readUInt32BE(end);
}

function readChunks(file: Buffer, maxDataBytes: number): { isWhole: boolean; color: ColorCoding | undefined } {
  let color: ColorCoding | undefined;
  let chunks = 0;
  let dataBytes = 0;
  for (let at = 8; at + 12 <= file.length; at += 12 + file.readUInt32BE(at)) {
    if (++chunks > MAX_CHUNKS) throw refuseWork(`more than ${MAX_CHUNKS} chunks`);
    const name = file.readUInt32BE(at + 4);
    if (name === IDAT) dataBytes += file.readUInt32BE(at);
    // Compressed data is not longer than stored data. Longer data hides other data, which a decoder has to skip.
    if (dataBytes > maxDataBytes) throw refuseWork('more compressed data than the picture has pixels');
    if (CHECKED.has(name) && !isIntact(file, at)) throw refuseDamage();
    if (name === CICP) color = { primaries: file[at + 8]!, transfer: file[at + 9]! };
    if (name === IEND) return { isWhole: true, color };
  }
  return { isWhole: false, color };
}
