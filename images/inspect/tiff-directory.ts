/** The first directory of a TIFF or BigTIFF file. */
import { refuseDamage } from './refusals.ts';

/** Real files have fewer than 100 entries: with more it is not a directory. */
const MAX_ENTRIES = 2_000;
/** Bytes of whole numbers, and of the other types. */
const TYPE_BYTES: Record<number, number> = { 1: 1, 3: 2, 4: 4, 13: 4, 16: 8 };
const OTHER_BYTES: Record<number, number> = { 2: 1, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 17: 8, 18: 8 };

export interface TiffEntry {
  tag: number;
  type: number;
  count: number;
  /** Offset of its values, and how long they are. */
  values: number;
  bytes: number;
  /** Offset of the entry. */
  offset: number;
}

export interface TiffDirectory {
  isLittleEndian: boolean;
  isBig: boolean;
  offset: number;
  entries: TiffEntry[];
  readFirst(tag: number): number | undefined;
  /** At most `limit` of a tag's numbers; none if the tag is missing or holds no whole numbers. Throws RangeError beyond the file. */
  read(tag: number, limit: number): number[];
}

/** @throws InferqlError CORRUPT; RangeError if the directory is truncated */
export function openTiffDirectory(file: Buffer): TiffDirectory {
  const little = file[0] === 0x49;
  const isBig = file[little ? 2 : 3] === 43;
  const readNumber = (at: number, bytes: number) => {
    if (bytes < 8) return little ? file.readUIntLE(at, bytes) : file.readUIntBE(at, bytes);
    return Number(little ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at));
  };
  const [word, countBytes] = isBig ? [8, 8] : [4, 2];
  const offset = readNumber(isBig ? 8 : 4, word);
  if (!Number.isSafeInteger(offset)) throw refuseDamage();
  const count = readNumber(offset, countBytes);
  if (count > MAX_ENTRIES) throw refuseDamage();
  // The offset of the next directory follows the entries.
  if (offset + countBytes + count * (4 + 2 * word) + word > file.length) throw refuseDamage();
  const entries = Array.from({ length: count }, (_, i): TiffEntry => {
    const at = offset + countBytes + i * (4 + 2 * word);
    const type = readNumber(at + 2, 2);
    const values = readNumber(at + 4, word);
    const bytes = values * (TYPE_BYTES[type] ?? OTHER_BYTES[type] ?? 1);
    const isInline = bytes <= word;
    return {
      tag: readNumber(at, 2),
      type,
      count: values,
      values: isInline ? at + 4 + word : readNumber(at + 4 + word, word),
      bytes,
      offset: at,
    };
  });
  const read = (tag: number, limit: number) => {
    const entry = entries.find((other) => other.tag === tag);
    const bytes = entry && TYPE_BYTES[entry.type];
    if (!entry || !bytes || limit <= 0) return [];
    return Array.from({ length: Math.min(entry.count, limit) }, (_, i) => readNumber(entry.values + i * bytes, bytes));
  };
  return { isLittleEndian: little, isBig, offset, entries, read, readFirst: (tag) => read(tag, 1)[0] };
}
