/**
 * The library leaves tiles that it cannot decode black without an error. Strips that it cannot decode are errors. A tile is coded like a strip
 * of its width and height, so a second directory at the end of the file lists the tiles as the strips of one tall picture.
 */
import type { TiffFacts } from '../../inspect/image-facts.ts';
import { openTiffDirectory } from '../../inspect/tiff-directory.ts';

const TAG = { width: 256, height: 257, strips: 273, orientation: 274, rowsPerStrip: 278, stripBytes: 279 };
const TILE_TAGS = [322, 323, 324, 325];
const DROPPED = [TAG.width, TAG.height, TAG.strips, TAG.orientation, TAG.rowsPerStrip, TAG.stripBytes, ...TILE_TAGS];
const LONG = 4;

/** @returns the file with a first directory in which its tiles are strips */
export function stackTiles(file: Buffer, { tiles, isLittleEndian, isBig }: TiffFacts): Buffer {
  if (!tiles) return file;
  const directory = openTiffDirectory(file);
  const word = isBig ? 8 : 4;
  const entryBytes = 4 + 2 * word;
  const number = (value: number, bytes: number) => {
    const buffer = Buffer.alloc(bytes);
    if (bytes === 8) buffer[isLittleEndian ? 'writeBigUInt64LE' : 'writeBigUInt64BE'](BigInt(value));
    else buffer[isLittleEndian ? 'writeUIntLE' : 'writeUIntBE'](value, 0, bytes);
    return buffer;
  };
  const single = (tag: number, value: number) => {
    const entry = Buffer.alloc(entryBytes);
    Buffer.concat([number(tag, 2), number(LONG, 2), number(1, word), number(value, 4)]).copy(entry);
    return { tag, entry };
  };
  const original = (tag: number) => directory.entries.find((other) => other.tag === tag);
  const renamed = (tag: number, from: number) => {
    const source = original(from);
    if (!source) return [];
    const entry = Buffer.from(file.subarray(source.offset, source.offset + entryBytes));
    number(tag, 2).copy(entry);
    return [{ tag, entry }];
  };
  const entries = [
    ...directory.entries
      .filter(({ tag }) => !DROPPED.includes(tag))
      .map(({ tag, offset }) => ({ tag, entry: file.subarray(offset, offset + entryBytes) })),
    single(TAG.width, tiles.width),
    single(TAG.height, tiles.height * tiles.across * tiles.down),
    single(TAG.rowsPerStrip, tiles.height),
    ...renamed(TAG.strips, 324),
    ...renamed(TAG.stripBytes, 325),
  ].sort((a, b) => a.tag - b.tag);
  const padding = Buffer.alloc(-file.length & 7);
  const stacked = Buffer.concat([
    file,
    padding,
    number(entries.length, isBig ? 8 : 2),
    ...entries.map(({ entry }) => entry),
    number(0, word),
  ]);
  number(file.length + padding.length, word).copy(stacked, isBig ? 8 : 4);
  return stacked;
}

interface Pixels {
  data: Buffer;
  width: number;
  height: number;
  channels: number;
}

/** Puts the tiles of the tall picture where they belong. */
export function unstackTiles(stacked: Pixels, { tiles, width, height }: TiffFacts): Pixels {
  if (!tiles) return stacked;
  const { channels } = stacked;
  const data = Buffer.allocUnsafe(width * height * channels);
  for (let y = 0; y < height; y++) {
    const tileRow = Math.floor(y / tiles.height);
    for (let tile = 0; tile < tiles.across; tile++) {
      const left = tile * tiles.width;
      const row = (tileRow * tiles.across + tile) * tiles.height + (y % tiles.height);
      const from = row * tiles.width * channels;
      const columns = Math.min(tiles.width, width - left);
      stacked.data.copy(data, (y * width + left) * channels, from, from + columns * channels);
    }
  }
  return { data, width, height, channels };
}
