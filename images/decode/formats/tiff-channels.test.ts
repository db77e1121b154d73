/** Kinds of TIFF that no library at hand writes: more channels than four, orientations of these, tiles in big-endian files, and contradictions. */
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { inspectImage } from '../../inspect/inspect.ts';
import { openTiffDirectory } from '../../inspect/tiff-directory.ts';
import { writeOldJpegTiff } from '../../test/old-jpeg-tiff.fixture.ts';
import { BLUE, corners, RED, WHITE } from '../../test/tiny-input.fixture.ts';

const SHORT = 3;
const LONG = 4;

interface Picture {
  width: number;
  height: number;
  /** Of one pixel, by its place. */
  draw(x: number, y: number): readonly number[];
  /** SHORT or LONG numbers by their tags, besides size, depth and place of the pixels, or instead of them. */
  tags?: [tag: number, values: number[], type?: number][];
  tile?: number;
  isBigEndian?: boolean;
}

/** An uncompressed TIFF of one strip, or of square tiles. */
function writeTiff({ width, height, draw, tags = [], tile, isBigEndian = false }: Picture): Buffer {
  const pixels: Buffer[] = [];
  const part = tile ?? Math.max(width, height);
  for (let top = 0; top < height; top += part) {
    for (let left = 0; left < width; left += part) {
      const [right, bottom] = tile ? [left + tile, top + tile] : [width, height];
      const rows: number[] = [];
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) rows.push(...draw(x, y));
      pixels.push(Buffer.from(rows));
    }
  }
  const channels = draw(0, 0).length;
  const own: [number, number[], number?][] = [
    [256, [width], LONG],
    [257, [height], LONG],
    [258, Array<number>(channels).fill(8)],
    [259, [1]],
    [262, [channels < 3 ? 1 : 2]],
    [tile ? 324 : 273, pixels.map(() => 0), LONG],
    [277, [channels]],
    [tile ? 325 : 279, pixels.map(({ length }) => length), LONG],
    ...(tile
      ? ([
          [322, [tile]],
          [323, [tile]],
        ] as [number, number[]][])
      : []),
  ];
  const entries = [...own.filter(([tag]) => !tags.some(([other]) => other === tag)), ...tags].sort(
    (a, b) => a[0] - b[0],
  );
  const listsAt = 10 + 12 * entries.length + 4;
  const bytesOf = ([, values, type = SHORT]: (typeof entries)[number]) => values.length * (type === LONG ? 4 : 2);
  const pixelsAt = entries.reduce((at, entry) => at + bytesOf(entry), listsAt);
  const head = Buffer.alloc(pixelsAt);
  const write = (value: number, at: number, bytes: number) =>
    isBigEndian ? head.writeUIntBE(value, at, bytes) : head.writeUIntLE(value, at, bytes);
  head.write(isBigEndian ? 'MM\0*' : 'II*\0', 'latin1');
  write(8, 4, 4);
  write(entries.length, 8, 2);
  let free = listsAt;
  for (const [i, entry] of entries.entries()) {
    const [tag, values, type = SHORT] = entry;
    const at = 10 + 12 * i;
    const bytes = bytesOf(entry);
    write(tag, at, 2);
    write(type, at + 2, 2);
    write(values.length, at + 4, 4);
    const valuesAt = bytes <= 4 ? at + 8 : free;
    if (bytes > 4) {
      write(free, at + 8, 4);
      free += bytes;
    }
    const isPlace = tag === 273 || tag === 324;
    let place = pixelsAt;
    for (const [index, value] of values.entries()) {
      write(isPlace ? place : value, valuesAt + (index * bytes) / values.length, bytes / values.length);
      place += pixels[index]?.length ?? 0;
    }
  }
  return Buffer.concat([head, ...pixels]);
}

const SIZE = { width: 8, height: 4 };
const EXTRA = 338;

test.each([
  { what: 'alpha behind a spot color', extra: [0, 2], pixel: [255, 0, 0, 90, 128], color: [255, 127, 127] },
  { what: 'alpha of which colors are multiples', extra: [0, 1], pixel: [64, 0, 0, 90, 128], color: [191, 127, 127] },
  { what: 'alpha alone, of which colors are multiples', extra: [1], pixel: [40, 0, 0, 51], color: [244, 204, 204] },
  { what: 'alpha before a depth', extra: [2, 0], pixel: [255, 0, 0, 128, 90], color: [255, 127, 127] },
  { what: 'nothing else than channels to ignore', extra: [0, 0], pixel: [255, 0, 0, 1, 2], color: RED },
])('the further channels are $what', async ({ extra, pixel, color }) => {
  const tiff = writeTiff({ ...SIZE, draw: () => pixel, tags: [[EXTRA, extra]] });
  expect(await corners(tiff)).toEqual([color, color, color]);
});

test('gray with three further channels stays gray', async () => {
  const tags: Picture['tags'] = [
    [262, [1]],
    [EXTRA, [0, 0, 0]],
  ];
  const tiff = writeTiff({ ...SIZE, draw: () => [80, 1, 2, 3], tags });
  expect(await corners(tiff)).toEqual(Array(3).fill([80, 80, 80]));
  expect(inspectImage(tiff)).toMatchObject({ channels: 4, colorChannels: 1 });
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'orientation %i with further channels is that of a plain picture',
  async (turned) => {
    const drawing = (rest: number[]) => (x: number, y: number) => [...(y < 1 ? RED : x < 2 ? BLUE : WHITE), ...rest];
    const plain = writeTiff({ ...SIZE, draw: drawing([]), tags: [[274, [turned]]] });
    const tags: Picture['tags'] = [
      [274, [turned]],
      [EXTRA, [0, 0]],
    ];
    const wide = writeTiff({ ...SIZE, draw: drawing([1, 2]), tags });
    expect(await corners(wide)).toEqual(await corners(plain));
  },
);

test.each([true, false])('tiles at the edges are cut, in both byte orders: big-endian %s', async (isBigEndian) => {
  const draw = (x: number, y: number) => (y >= 10 ? WHITE : x < 20 ? RED : BLUE);
  const tiff = writeTiff({ width: 40, height: 20, draw, tile: 16, isBigEndian });
  expect(await corners(tiff)).toEqual([RED, BLUE, WHITE]);
});

const draw = () => RED;

test.each<[string, Picture['tags'], string]>([
  ['fewer channels than its colors need', [[262, [5]]], 'CORRUPT'],
  [
    'a size twice',
    [
      [257, [4], LONG],
      [257, [2], LONG],
    ],
    'CORRUPT',
  ],
  ['a list beyond the file', [[530, Array<number>(40_000).fill(1)]], 'CORRUPT'],
  [
    '17 channels',
    [
      [277, [17]],
      [258, Array<number>(17).fill(8)],
      [EXTRA, Array<number>(14).fill(0)],
    ],
    'UNSUPPORTED_FORMAT',
  ],
  [
    'very many strips',
    [
      [257, [200_000], LONG],
      [278, [1]],
    ],
    'TOO_COMPLEX',
  ],
])('a TIFF with %s is refused', (_what, tags, code) => {
  const tiff = writeTiff({ ...SIZE, draw, tags: tags! });
  // Cut behind the directory, if the list is longer than the file may be.
  const file = tiff.length > 40_000 ? tiff.subarray(0, 1_000) : tiff;
  expect(() => inspectImage(file)).toThrow(expect.objectContaining({ code }));
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'a JPEG inside a TIFF of orientation %i is turned like the same pixels',
  async (turned) => {
    const size = { width: 16, height: 16 };
    const drawing = (x: number, y: number) => (y < 8 ? RED : x < 8 ? BLUE : WHITE);
    const plain = writeTiff({ ...size, draw: drawing, tags: [[274, [turned]]] });
    const pixels = Buffer.from(Array.from({ length: 256 }, (_, i) => drawing(i % 16, i >> 4)).flat());
    const image = sharp(pixels, { raw: { ...size, channels: 3 } });
    const tiff = writeOldJpegTiff(await image.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(), 3);
    // The number of rows per strip has no meaning for it.
    const { offset } = openTiffDirectory(tiff).entries.find(({ tag }) => tag === 278)!;
    tiff.writeUInt16LE(274, offset);
    tiff.writeUInt32LE(turned, offset + 8);
    const [found, expected] = [await corners(tiff), await corners(plain)];
    for (const [i, color] of found.entries()) {
      for (const [channel, value] of color.entries()) expect(Math.abs(value - expected[i]![channel]!)).toBeLessThan(4);
    }
  },
);
