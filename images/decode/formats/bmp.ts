import { type BmpLayout, bmpRowBytes, readBmpLayout } from '../../inspect/bmp.ts';
import { refuseDamage } from '../../inspect/refusals.ts';
import type { RawImage } from './raw-image.ts';

/** @throws InferqlError CORRUPT; RangeError if the file is truncated */
export function decodeBmp(file: Buffer): RawImage {
  return decodeBitmap(file, readBmpLayout(file, 14, file.readUInt32LE(10)));
}

/** @returns RGBA if the bitmap has alpha that is not 0 everywhere, otherwise RGB */
export function decodeBitmap(file: Buffer, layout: BmpLayout): RawImage {
  const { width, height, bits, hasAlpha } = layout;
  const rgba = Buffer.allocUnsafe(width * height * 4);
  const writeRow = bits <= 8 ? createPaletteWriter(file, layout) : createColorWriter(file, layout);
  const isRun = layout.compression === 1 || layout.compression === 2;
  const runs = isRun ? decodeRuns(file, layout) : undefined;
  const rowBytes = bmpRowBytes(width, bits);
  for (let row = 0; row < height; row++) {
    const y = layout.isTopDown ? row : height - 1 - row;
    if (runs) writeRow(rgba, y * width * 4, runs, row * width, 8);
    else writeRow(rgba, y * width * 4, file, layout.pixels + row * rowBytes, bits);
  }
  return hasAlpha && isVisible(rgba) ? { data: rgba, width, height, channels: 4 } : dropAlpha(rgba, width, height);
}

type RowWriter = (target: Buffer, to: number, source: Uint8Array, from: number, bits: number) => void;

function createPaletteWriter(file: Buffer, { width, palette }: BmpLayout): RowWriter {
  const { count } = palette;
  const colors = Buffer.alloc(256 * 4);
  for (let i = 0; i < 256; i++) {
    if (i >= count) continue;
    const at = palette.offset + i * palette.entryBytes;
    colors.writeUIntBE(file.readUIntLE(at, 3), 4 * i, 3);
  }
  return (target, to, source, from, bits) => {
    const mask = 2 ** bits - 1;
    let at = to;
    for (let x = 0; x < width; x++) {
      const bit = x * bits;
      const index = (source[from + (bit >> 3)]! >> (8 - bits - (bit & 7))) & mask;
      if (index >= count) throw refuseDamage();
      // A call of `copy` per pixel takes several times as long.
      target[at++] = colors[4 * index]!;
      target[at++] = colors[4 * index + 1]!;
      target[at++] = colors[4 * index + 2]!;
      target[at++] = 255;
    }
  };
}

function createColorWriter(file: Buffer, { width, bits, masks, compression, hasAlpha }: BmpLayout): RowWriter {
  if (bits === 24 || (bits === 32 && compression === 0 && !hasAlpha)) {
    const bytes = bits / 8;
    return (target, to, source, from) => {
      for (let x = 0; x < width; x++) {
        const at = from + x * bytes;
        target[to + 4 * x] = source[at + 2]!;
        target[to + 4 * x + 1] = source[at + 1]!;
        target[to + 4 * x + 2] = source[at]!;
        target[to + 4 * x + 3] = 255;
      }
    };
  }
  const channels = masks.map(createMaskReader);
  return (target, to, _source, from) => {
    for (let x = 0; x < width; x++) {
      const value = bits === 16 ? file.readUInt16LE(from + 2 * x) : file.readUInt32LE(from + 4 * x);
      for (let channel = 0; channel < 4; channel++) target[to + 4 * x + channel] = channels[channel]!(value);
    }
  };
}

/** The bits under a mask, scaled to 0 to 255; 0 if there is no mask. */
function createMaskReader(mask: number): (value: number) => number {
  if (mask === 0) return () => 0;
  let shift = 0;
  while (((mask >>> shift) & 1) === 0) shift++;
  const most = mask >>> shift;
  return (value) => Math.round((((value & mask) >>> shift) * 255) / most);
}

/**
 * Runs of one index, or literal indexes, with commands for the end of a line, of the picture, and jumps.
 * @returns one index per pixel, in the file's order of rows; skipped pixels have index 0
 * @throws InferqlError CORRUPT if the picture ends before its last pixel, or literal indexes do not fit into their row: readers then differ
 */
function decodeRuns(file: Buffer, { width, height, compression, pixels }: BmpLayout): Uint8Array {
  const indexes = new Uint8Array(width * height);
  const isHalf = compression === 2;
  const unpack = (byte: number, i: number) => (isHalf ? (i & 1 ? byte & 15 : byte >> 4) : byte);
  let [x, y, at] = [0, 0, pixels];
  const put = (index: number) => {
    if (x < width && y < height) indexes[y * width + x] = index;
    x++;
  };
  while (y < height) {
    const [count, value] = [file[at], file[at + 1]];
    if (count === undefined || value === undefined) throw refuseDamage();
    at += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) put(unpack(value, i));
    } else if (value === 0) {
      x = 0;
      y++;
    } else if (value === 1) {
      if (y < height - 1 || x < width) throw refuseDamage();
      break;
    } else if (value === 2) {
      x += file.readUInt8(at);
      y += file.readUInt8(at + 1);
      at += 2;
      if (x > width || y > height) throw refuseDamage();
    } else {
      const bytes = isHalf ? (value + 1) >> 1 : value;
      // Half bytes are written in pairs.
      const room = isHalf ? width + (width & 1) : width;
      if (at + bytes > file.length || x + value > room) throw refuseDamage();
      for (let i = 0; i < value; i++) put(unpack(file[at + (isHalf ? i >> 1 : i)]!, i));
      at += bytes + (bytes & 1);
    }
  }
  return indexes;
}

/** Some programs write 32 bits with zeros in the last 8. */
function isVisible(rgba: Buffer): boolean {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 0) return true;
  return false;
}

/** @param rgba uint8, height x width x 4 @returns height x width x 3 */
export function dropAlpha(rgba: Buffer, width: number, height: number): RawImage {
  const data = Buffer.allocUnsafe(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    data[to++] = rgba[from]!;
    data[to++] = rgba[from + 1]!;
    data[to++] = rgba[from + 2]!;
  }
  return { data, width, height, channels: 3 };
}
