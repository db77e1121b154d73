import { makePngChunk } from '@inferql/testing/data/test-images';
import { expect, test } from 'vitest';
import { inspectImage } from '../../inspect/inspect.ts';
import { decodeBmp } from './bmp.ts';
import { decodeIconBitmap } from './ico.ts';

interface Bitmap {
  width: number;
  height: number;
  bits: number;
  compression?: number;
  headerBytes?: number;
  /** Of red, green, blue and alpha. */
  masks?: number[];
  /** Blue, green and red of each color. */
  palette?: number[][];
  /** Everything behind header, masks and palette. */
  body: number[];
}

/** A bitmap as in an icon: without the file's header. */
function writeBitmap({ headerBytes = 40, masks = [], palette = [], ...bitmap }: Bitmap): Buffer {
  const isOld = headerBytes === 12;
  const header = Buffer.alloc(Math.max(headerBytes, isOld ? 12 : 40 + 4 * masks.length));
  header.writeUInt32LE(headerBytes);
  if (isOld) {
    header.writeUInt16LE(bitmap.width, 4);
    header.writeInt16LE(bitmap.height, 6);
    header.writeUInt16LE(bitmap.bits, 10);
  } else {
    header.writeInt32LE(bitmap.width, 4);
    header.writeInt32LE(bitmap.height, 8);
    header.writeUInt16LE(bitmap.bits, 14);
    header.writeUInt32LE(bitmap.compression ?? 0, 16);
    header.writeUInt32LE(palette.length, 32);
    for (const [i, mask] of masks.entries()) header.writeUInt32LE(mask, 40 + 4 * i);
  }
  const colors = palette.flatMap((color) => (isOld ? color : [...color, 0]));
  return Buffer.concat([header, Buffer.from(colors), Buffer.from(bitmap.body)]);
}

function writeBmp(bitmap: Bitmap): Buffer {
  const content = writeBitmap(bitmap);
  const header = Buffer.alloc(14);
  header.write('BM', 'latin1');
  header.writeUInt32LE(14 + content.length - bitmap.body.length, 10);
  return Buffer.concat([header, content]);
}

const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
const GREEN = [0, 255, 0];
/** Red, blue and green, as files have them. */
const PALETTE = [RED, BLUE, GREEN].map((color) => color.toReversed());

/** The colors row by row. */
function decode(bitmap: Bitmap): number[][] {
  const file = writeBmp(bitmap);
  expect(inspectImage(file)).toMatchObject({ width: bitmap.width, height: bitmap.height, isWhole: true });
  const { data, channels } = decodeBmp(file);
  return Array.from({ length: data.length / channels }, (_, i) => [...data.subarray(i * channels, (i + 1) * channels)]);
}

test('pixels of 1 bit: the first one is the highest bit', () => {
  const row = [0b0100_0000, 0b0100_0000, 0, 0];
  expect(decode({ width: 10, height: 1, bits: 1, palette: PALETTE.slice(0, 2), body: row })).toEqual(
    Array.from({ length: 10 }, (_, x) => (x === 1 || x === 9 ? BLUE : RED)),
  );
});

test.each([40, 12])('pixels of 4 bits, with a header of %i bytes', (headerBytes) => {
  const palette = headerBytes === 12 ? Array.from({ length: 16 }, (_, i) => PALETTE[i] ?? [0, 0, 0]) : PALETTE;
  const body = [0x12, 0x00, 0, 0, 0x01, 0x20, 0, 0];
  expect(decode({ width: 3, height: 2, bits: 4, headerBytes, palette, body })).toEqual([
    ...[RED, BLUE, GREEN],
    ...[BLUE, GREEN, RED],
  ]);
});

test('runs of half bytes, literal ones in pairs that are padded, and a jump over a row', () => {
  const pairs = [0, 8, 0x12, 0x12, 0x12, 0x12, 0, 0];
  const body = [7, 0x12, 0, 0, 0, 5, 0x12, 0x10, 0x20, 0, 2, 0x11, 0, 0, ...pairs, 0, 2, 1, 1, 6, 0x22, 0, 1];
  expect(decode({ width: 7, height: 5, bits: 4, compression: 2, palette: PALETTE, body })).toEqual([
    ...[RED, GREEN, GREEN, GREEN, GREEN, GREEN, GREEN],
    ...[RED, RED, RED, RED, RED, RED, RED],
    ...[BLUE, GREEN, BLUE, GREEN, BLUE, GREEN, BLUE],
    ...[BLUE, GREEN, BLUE, RED, GREEN, BLUE, BLUE],
    ...[BLUE, GREEN, BLUE, GREEN, BLUE, GREEN, BLUE],
  ]);
});

test('pixels of 16 bits: 5 bits per color without masks, with masks as they say', () => {
  const body = [0xff, 0x03, 0x10, 0x7c];
  expect(decode({ width: 2, height: 1, bits: 16, body })).toEqual([
    [0, 255, 255],
    [255, 0, 132],
  ]);
  const masks = [0xf800, 0x07e0, 0x001f];
  expect(decode({ width: 2, height: 1, bits: 16, compression: 3, masks, body })).toEqual([
    [0, Math.round((31 * 255) / 63), 255],
    [Math.round((15 * 255) / 31), Math.round((32 * 255) / 63), Math.round((16 * 255) / 31)],
  ]);
});

test.each([{ bits: 3 }, { bits: 24, compression: 1 }, { bits: 8, compression: 3, masks: [0xff, 0xff00, 0xff0000] }])(
  'a bitmap of a kind that does not exist is CORRUPT: %o',
  (kind) => {
    const file = writeBmp({ width: 2, height: 1, body: Array<number>(64).fill(1), ...kind });
    expect(() => inspectImage(file)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  },
);

test('the mask of transparency counts if any pixel is visible', () => {
  const masks = [0xff, 0xff00, 0xff0000, 0xff000000];
  const bitmap = { width: 2, height: 1, bits: 32, compression: 3, headerBytes: 56, masks };
  expect(decode({ ...bitmap, body: [1, 2, 3, 0, 4, 5, 6, 128] })).toEqual([
    [1, 2, 3, 0],
    [4, 5, 6, 128],
  ]);
  expect(decode({ ...bitmap, body: [1, 2, 3, 0, 4, 5, 6, 0] })).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

/** Height counts the rows of the mask, too. */
const ICON = { width: 2, height: 4 };
const MASK = [0b1000_0000, 0, 0, 0, 0b0100_0000, 0, 0, 0];

const decodeIcon = (bitmap: Omit<Bitmap, 'width' | 'height'>) => [
  ...decodeIconBitmap(writeBitmap({ ...ICON, ...bitmap })).data,
];

test("an icon's mask hides pixels, unless the pixels have transparency", () => {
  const hidden = [...[...GREEN, 255, ...RED, 0], ...[...RED, 0, ...BLUE, 255]];
  const indexes = [0x01, 0, 0, 0, 0x20, 0, 0, 0];
  expect(decodeIcon({ bits: 4, palette: PALETTE, body: [...indexes, ...MASK] })).toEqual(hidden);
  const masks = [0xf800, 0x07e0, 0x001f];
  const deep = [0x00, 0xf8, 0x1f, 0x00, 0xe0, 0x07, 0x00, 0xf8];
  expect(decodeIcon({ bits: 16, compression: 3, masks, body: [...deep, ...MASK] })).toEqual(hidden);
  const full = (alpha: number) => [RED, BLUE, GREEN, RED].flatMap((color) => [...color.toReversed(), alpha]);
  expect(decodeIcon({ bits: 32, body: [...full(0), ...MASK] })).toEqual(hidden);
  expect(decodeIcon({ bits: 32, body: [...full(9), ...MASK] })).toEqual(
    [GREEN, RED, RED, BLUE].flatMap((color) => [...color, 9]),
  );
});

function writeIcon(...pictures: { content: Buffer; bits: number }[]): Buffer {
  const directory = Buffer.alloc(6 + 16 * pictures.length);
  directory.writeUInt16LE(1, 2);
  directory.writeUInt16LE(pictures.length, 4);
  let offset = directory.length;
  for (const [i, { content, bits }] of pictures.entries()) {
    const at = 6 + 16 * i;
    directory.writeUInt16LE(bits, at + 6);
    directory.writeUInt32LE(content.length, at + 8);
    directory.writeUInt32LE(offset, at + 12);
    offset += content.length;
  }
  return Buffer.concat([directory, ...pictures.map(({ content }) => content)]);
}

const draw = (width: number, height: number, bits: number) => ({
  content: writeBitmap({ width, height: 2 * height, bits, body: Array<number>(4 * width * height).fill(0) }),
  bits,
});

test("an icon's bitmap is whole with all of its pixels, and with its mask if it has one", () => {
  const content = writeBitmap({ ...ICON, bits: 24, body: Array<number>(16).fill(0) });
  const inspect = (bitmap: Buffer) => inspectImage(writeIcon({ content: bitmap, bits: 24 }));
  expect(inspect(content)).toMatchObject({ width: 2, height: 2, isWhole: true });
  expect(inspect(content.subarray(0, -1))).toMatchObject({ isWhole: false });
  const masked = writeIcon({ content: Buffer.concat([content, Buffer.from(MASK)]), bits: 24 });
  expect(inspectImage(masked.subarray(0, -1))).toMatchObject({ isWhole: false });
  expect(() => decodeIcon({ bits: 8, compression: 1, body: [2, 0, 0, 0, 2, 0, 0, 1] })).toThrow();
});

test('of an icon the largest picture is taken, then the one with the most colors', () => {
  const entryOf = (...pictures: { content: Buffer; bits: number }[]) => {
    const facts = inspectImage(writeIcon(...pictures));
    return facts.format === 'ico' && facts.entry.offset;
  };
  const [plain, deep] = [draw(4, 4, 24), draw(4, 4, 32)];
  const first = 6 + 16 * 2;
  expect(entryOf(plain, deep)).toBe(first + plain.content.length);
  expect(entryOf(deep, plain)).toBe(first);
  const header = Buffer.from([0, 0, 0, 5, 0, 0, 0, 5, 8, 2, 0, 0, 0]);
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  const png = { content: Buffer.concat([signature, makePngChunk('IHDR', header)]), bits: 32 };
  expect(entryOf(deep, png)).toBe(first + deep.content.length);
  expect(() => entryOf(deep, draw(9, 0.5, 32))).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
});
