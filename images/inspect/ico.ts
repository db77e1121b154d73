import { bmpRowBytes, estimateBmp, readBmpLayout } from './bmp.ts';
import type { IcoFacts } from './facts.ts';
import { inspectPng } from './png.ts';
import { refuseDamage, refuseWork } from './refusals.ts';

const MAX_ENTRIES = 256;

interface Entry {
  offset: number;
  length: number;
  /** Pixels and bits as the directory says, which is enough to choose. */
  pixels: number;
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
    return {
      pixels: (file[at]! || 256) * (file[at + 1]! || 256),
      // A cursor has the position of its tip there.
      bits: isIcon ? file.readUInt16LE(at + 6) : 0,
      length: file.readUInt32LE(at + 8),
      offset: file.readUInt32LE(at + 12),
    };
  });
  const entry = entries.reduce((best, other) =>
    other.pixels > best.pixels || (other.pixels === best.pixels && other.bits > best.bits) ? other : best,
  );
  const content = file.subarray(entry.offset, entry.offset + entry.length);
  const isPng = content.toString('latin1', 0, 8) === '\x89PNG\r\n\x1a\n';
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
