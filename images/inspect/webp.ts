import { megapixels, pixelBytes, type WebpFacts } from './image-facts.ts';
import { refuseDamage, refuseWork } from './refusals.ts';

/** CPU milliseconds per megapixel. */
const LOSSY_MS = 18;
const LOSSLESS_MS = 26;
const MAX_CHUNKS = 20_000;

interface Frame {
  width: number;
  height: number;
  isLossless: boolean;
}

/**
 * The decoder checks that the file has the announced length.
 * @throws InferqlError CORRUPT or TOO_COMPLEX
 */
export function inspectWebp(file: Buffer): WebpFacts {
  let canvas: { width: number; height: number } | undefined;
  let frame: Frame | undefined;
  let announced: { width: number; height: number } | undefined;
  let chunks = 0;
  for (let at = 12; at + 8 <= file.length; ) {
    if (++chunks > MAX_CHUNKS) throw refuseWork(`more than ${MAX_CHUNKS} chunks`);
    const name = file.toString('latin1', at, at + 4);
    const length = file.readUInt32LE(at + 4);
    const body = at + 8;
    if (name === 'VP8X' && body + 10 <= file.length) {
      canvas = { width: 1 + file.readUIntLE(body + 4, 3), height: 1 + file.readUIntLE(body + 7, 3) };
    }
    // A frame of an animation has its own chunks inside, 16 bytes after its beginning.
    const isAnimationFrame = name === 'ANMF';
    if (isAnimationFrame && !frame && body + 16 <= file.length) {
      announced = { width: 1 + file.readUIntLE(body + 6, 3), height: 1 + file.readUIntLE(body + 9, 3) };
    }
    frame ??= readFrame(file, name, body);
    at = isAnimationFrame && !frame ? body + 16 : body + length + (length & 1);
  }
  if (!frame) throw refuseDamage();
  // The first frame's size is there twice, and the decoder leaves missing pixels empty.
  const expected = announced ?? canvas ?? frame;
  if (expected.width !== frame.width || expected.height !== frame.height) throw refuseDamage();
  const width = Math.max(canvas?.width ?? 0, frame.width);
  const height = Math.max(canvas?.height ?? 0, frame.height);
  return {
    format: 'webp',
    width,
    height,
    costMs: megapixels(width, height) * (frame.isLossless ? LOSSLESS_MS : LOSSY_MS),
    memoryBytes: pixelBytes(width, height, 4) * 3,
    isWhole: true,
  };
}

function readFrame(file: Buffer, name: string, body: number): Frame | undefined {
  if (name === 'VP8 ' && body + 10 <= file.length) {
    const [width, height] = [file.readUInt16LE(body + 6) & 0x3fff, file.readUInt16LE(body + 8) & 0x3fff];
    return { width, height, isLossless: false };
  }
  if (name === 'VP8L' && body + 5 <= file.length) {
    const bits = file.readUInt32LE(body + 1);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff), isLossless: true };
  }
  return undefined;
}
