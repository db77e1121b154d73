import { type BmpFacts, megapixels, pixelBytes } from './image-facts.ts';
import { refuseDamage, refuseFeature } from './refusals.ts';

/** CPU milliseconds per megapixel. They are spent in JavaScript. */
const DECODE_MS = 15;

const MAX_COLORS = 65_536;
const MAX_PALETTE = 256;

export interface BmpLayout {
  width: number;
  height: number;
  isTopDown: boolean;
  bits: number;
  /** 0 none, 1 runs of bytes, 2 runs of half bytes, 3 and 6 bit masks. */
  compression: number;
  /** Bits of red, green, blue and alpha; 0 if there is none. */
  masks: [number, number, number, number];
  palette: { offset: number; count: number; entryBytes: number };
  /** Offset of the pixels. */
  pixels: number;
  /** The bitmap of an icon has a mask of one bit after its pixels. */
  hasAlpha: boolean;
}

/** @throws InferqlError CORRUPT or UNSUPPORTED_FORMAT; RangeError if the header is truncated */
export function inspectBmp(file: Buffer): BmpFacts {
  const layout = readBmpLayout(file, 14, file.readUInt32LE(10));
  const { width, height } = layout;
  return { format: 'bmp', width, height, ...estimateBmp(width, height), isWhole: hasPixels(layout, file.length) };
}

/** CPU milliseconds and bytes that decoding takes; also for the bitmaps in icons. */
export function estimateBmp(width: number, height: number): { costMs: number; memoryBytes: number } {
  return { costMs: megapixels(width, height) * DECODE_MS, memoryBytes: pixelBytes(width, height, 8) };
}

/** Runs may end early by design; rows of uncompressed pixels may not. */
export function hasPixels({ width, height, bits, compression, pixels }: BmpLayout, fileBytes: number): boolean {
  if (compression === 1 || compression === 2) return pixels < fileBytes;
  return pixels + bmpRowBytes(width, bits) * height <= fileBytes;
}

/** Rows are padded to four bytes. */
export function bmpRowBytes(width: number, bits: number): number {
  return Math.ceil((width * bits) / 32) * 4;
}

/**
 * @param at offset of the information header
 * @param pixels offset of the pixels; 0 if they follow the header and the palette, as in an icon
 */
export function readBmpLayout(file: Buffer, at: number, pixels: number): BmpLayout {
  const headerBytes = file.readUInt32LE(at);
  const isOld = headerBytes === 12;
  if (!isOld && (headerBytes < 16 || headerBytes > 1_000)) throw refuseDamage();
  const width = isOld ? file.readUInt16LE(at + 4) : file.readInt32LE(at + 4);
  const signedHeight = isOld ? file.readInt16LE(at + 6) : file.readInt32LE(at + 8);
  const bits = file.readUInt16LE(at + (isOld ? 10 : 14));
  const has = (end: number) => headerBytes >= end;
  const compression = has(20) ? file.readUInt32LE(at + 16) : 0;
  if (width <= 0 || signedHeight === 0 || signedHeight === -(2 ** 31)) throw refuseDamage();
  checkKind(bits, compression);
  const areMasksBehind = headerBytes === 40 && (compression === 3 || compression === 6);
  const masks = readMasks(file, at, { headerBytes, bits, compression });
  const maskBytes = areMasksBehind ? (compression === 6 ? 16 : 12) : 0;
  const paletteAt = at + headerBytes + maskBytes;
  const entryBytes = isOld ? 3 : 4;
  const named = has(36) ? file.readUInt32LE(at + 32) : 0;
  if (named > (bits <= 8 ? MAX_PALETTE : MAX_COLORS)) throw refuseDamage();
  const most = bits <= 8 ? 2 ** bits : 0;
  const count = Math.min(named || most, bits <= 8 ? most : named, MAX_PALETTE);
  return {
    width,
    height: Math.abs(signedHeight),
    isTopDown: signedHeight < 0,
    bits,
    compression,
    masks,
    palette: { offset: paletteAt, count: bits <= 8 ? count : 0, entryBytes },
    // Some files give the palette's offset as that of the pixels.
    pixels: Math.max(pixels, paletteAt + (bits <= 8 ? count : 0) * entryBytes),
    hasAlpha: masks[3] !== 0,
  };
}

function checkKind(bits: number, compression: number): void {
  if (compression === 4 || compression === 5) throw refuseFeature('BMP with a JPEG or PNG inside');
  const depths: Record<number, number[]> = { 0: [1, 2, 4, 8, 16, 24, 32], 1: [8], 2: [4], 3: [16, 32], 6: [16, 32] };
  if (!depths[compression]) throw refuseFeature(`BMP with compression ${compression}`);
  if (!depths[compression].includes(bits)) throw refuseDamage();
}

function readMasks(
  file: Buffer,
  at: number,
  { headerBytes, bits, compression }: { headerBytes: number; bits: number; compression: number },
): BmpLayout['masks'] {
  if (compression === 3 || compression === 6) {
    const read = (i: number) => file.readUInt32LE(at + 40 + 4 * i);
    const hasAlphaMask = headerBytes >= 56 || compression === 6;
    return [read(0), read(1), read(2), hasAlphaMask ? read(3) : 0];
  }
  if (bits === 16) return [0x7c00, 0x03e0, 0x001f, 0];
  if (bits === 32) return [0xff0000, 0xff00, 0xff, 0];
  return [0, 0, 0, 0];
}
