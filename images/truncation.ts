/**
 * Tells whether a file of one of these formats has its end. A decoder does not notice by itself: the rows below the crop are never
 * asked for, and the frames after the first one neither. WebP and AVIF announce their length, which their decoders check.
 */

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'tiff';

/** To be asked of files that a decoder takes. True also where it cannot be told. */
export function isWhole(file: Buffer, format: ImageFormat): boolean {
  try {
    switch (format) {
      case 'jpeg':
        return file.lastIndexOf(END_OF_IMAGE) > findScan(file);
      case 'png':
        return hasEndChunk(file);
      case 'gif':
        return hasTrailer(file);
      case 'tiff':
        return hasAllStrips(file);
      case 'webp':
      case 'avif':
        return true;
      default:
        return format satisfies never;
    }
  } catch (error) {
    // Lengths inside a file are anybody's.
    if (error instanceof RangeError) return true;
    throw error;
  }
}

const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

/** Where a JPEG's pixels begin: a thumbnail before them has an end of its own. */
function findScan(file: Buffer): number {
  for (let at = 2; file[at] === 0xff; ) {
    const marker = file[at + 1];
    if (marker === 0xda) return at;
    at += marker === 0xff ? 1 : 2 + file.readUInt16BE(at + 2);
  }
  return 0;
}

const IEND = 0x49_45_4e_44;

function hasEndChunk(file: Buffer): boolean {
  for (let at = 8; at + 12 <= file.length; at += 12 + file.readUInt32BE(at)) {
    if (file.readUInt32BE(at + 4) === IEND) return true;
  }
  return false;
}

function hasTrailer(file: Buffer): boolean {
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + tableBytes(file.readUInt8(10));
  while (at < file.length) {
    const block = file[at];
    if (block === 0x21) at += 2;
    else if (block === 0x2c && at + 9 < file.length) at += 11 + tableBytes(file[at + 9]!);
    else return block !== 0x2c;
    while (at < file.length && file[at] !== 0) at += 1 + file[at]!;
    at += 1;
  }
  return false;
}

/** The first page's strips or tiles. */
function hasAllStrips(file: Buffer): boolean {
  const little = file[0] === 0x49;
  const isBig = file[little ? 2 : 3] === 43;
  const read = (at: number, bytes: number) => {
    if (bytes < 8) return little ? file.readUIntLE(at, bytes) : file.readUIntBE(at, bytes);
    return Number(little ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at));
  };
  const [word, countBytes] = isBig ? [8, 8] : [4, 2];
  const directory = read(isBig ? 8 : 4, word);
  const readTag = (tag: number): number[] => {
    const entries = read(directory, countBytes);
    for (let entry = 0; entry < entries; entry++) {
      const at = directory + countBytes + entry * (4 + 2 * word);
      if (read(at, 2) !== tag) continue;
      const bytes = { 3: 2, 4: 4, 16: 8 }[read(at + 2, 2)] ?? 4;
      const count = read(at + 4, word);
      const values = count * bytes <= word ? at + 4 + word : read(at + 4 + word, word);
      return Array.from({ length: Math.min(count, file.length) }, (_, i) => read(values + i * bytes, bytes));
    }
    return [];
  };
  const [offsets, lengths] = [readTag(273), readTag(279)];
  const [tiles, tileLengths] = [readTag(324), readTag(325)];
  const isInside = (offset: number, bytes: number | undefined) => offset + (bytes ?? 0) <= file.length;
  return (
    offsets.every((offset, i) => isInside(offset, lengths[i])) && tiles.every((at, i) => isInside(at, tileLengths[i]))
  );
}
