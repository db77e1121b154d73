import { crc32 } from 'node:zlib';
import { bmpRowBytes, estimateBmp, readBmpLayout } from './bmp.ts';
import type { IcoFacts } from './image-facts.ts';
import { inspectPng } from './png.ts';
import { refuseDamage, refuseWork } from './refusals.ts';

const MAX_ENTRIES = 256;

interface Entry {
  offset: number;
  length: number;
  /** As the picture itself says: the directory's size is often wrong. */
  pixels: number;
  /** As the directory says. */
  bits: number;
}

/**
 * Icons and cursors hold one picture in several sizes; the largest is taken, and among those the one with the most colors.
 * @throws InferqlError CORRUPT, UNSUPPORTED_FORMAT or TOO_COMPLEX; RangeError if the directory is truncated
 */
export function inspectIco(file: Buffer): IcoFacts {
  const count = file.readUInt16LE(4);
  if (count === 0) throw refuseDamage();
  if (count > MAX_ENTRIES) throw refuseWork(`${count} pictures in one icon, and the limit is ${MAX_ENTRIES}`);
  const isIcon = file[2] === 1;
  const entries = Array.from({ length: count }, (_, i): Entry => {
    const at = 6 + 16 * i;
    const offset = file.readUInt32LE(at + 12);
    return {
      pixels: countPixels(file, offset),
      // A cursor has the position of its tip there.
      bits: isIcon ? file.readUInt16LE(at + 6) : 0,
      length: file.readUInt32LE(at + 8),
      offset,
    };
  });
  const entry = entries.reduce((best, other) =>
    other.pixels > best.pixels || (other.pixels === best.pixels && other.bits > best.bits) ? other : best,
  );
  const content = file.subarray(entry.offset, entry.offset + entry.length);
  const isPng = startsPng(content, 0);
  const place = { offset: entry.offset, length: entry.length, isPng };
  const isInside = entry.offset + entry.length <= file.length;
  if (isPng) {
    const { width, height, costMs, memoryBytes, isWhole } = inspectPng(content);
    return { format: 'ico', width, height, costMs, memoryBytes, isWhole: isWhole && isInside, entry: place };
  }
  const { width, height: doubled, bits, pixels } = readBmpLayout(content, 0, 0);
  // The mask's rows count as the bitmap's.
  const height = doubled >> 1;
  if (height === 0) throw refuseDamage();
  const isWhole = isInside && pixels + bmpRowBytes(width, bits) * height <= content.length;
  return { format: 'ico', width, height, ...estimateBmp(width, height), isWhole, entry: place };
}

function startsPng(file: Buffer, at: number): boolean {
  return file.toString('latin1', at, at + 8) === '\x89PNG\r\n\x1a\n';
}

/** Throws InferqlError CORRUPT or UNSUPPORTED_FORMAT; RangeError if the picture's header is beyond the file. */
function countPixels(file: Buffer, at: number): number {
  const pixels = startsPng(file, at) ? countPngPixels(file, at + 8) : countBitmapPixels(file, at);
  // Otherwise damage to the largest picture's size would make a smaller one of it.
  if (pixels === 0) throw refuseDamage();
  return pixels;
}

/** @param at offset of the first chunk, which is the header of 13 bytes between name and checksum */
function countPngPixels(file: Buffer, at: number): number {
  if (crc32(file.subarray(at + 4, at + 21)) !== file.readUInt32BE(at + 21)) throw refuseDamage();
  return file.readUInt32BE(at + 8) * file.readUInt32BE(at + 12);
}

function countBitmapPixels(file: Buffer, at: number): number {
  const { width, height } = readBmpLayout(file, at, 0);
  return width * (height >> 1);
}
