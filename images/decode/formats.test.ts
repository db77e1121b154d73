import type { ServedModel } from '@inferql/queue/contract';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { openTiffDirectory } from '../inspect/tiff-directory.ts';
import { prepareImage } from '../preprocess.ts';
import { wrapTiff } from './wrap-tiff.ts';

const INPUT: ServedModel['input'] = { width: 8, height: 4, channels: 3, kernel: 'nearest' };
const prepare = (file: Buffer) => prepareImage(file, INPUT, 1_000_000);
const [RED, BLUE, WHITE] = [
  [255, 0, 0],
  [0, 0, 255],
  [255, 255, 255],
] as const;

/** The colors of the input's corners: top left, top right, bottom left. */
async function corners(file: Buffer): Promise<number[][]> {
  const pixels = await prepare(file);
  return [0, 7, 24].map((pixel) => [...pixels.subarray(3 * pixel, 3 * pixel + 3)]);
}

function insertChunk(png: Buffer, name: string, body: Buffer): Buffer {
  const chunk = Buffer.alloc(12 + body.length);
  chunk.writeUInt32BE(body.length);
  chunk.write(name, 4, 'latin1');
  body.copy(chunk, 8);
  // Its checksum does not matter: the decoder skips ancillary chunks with a wrong one, and this one is read here.
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}

describe('BMP', () => {
  /** 8 x 4 pixels, bottom row first: left red, right blue, but the bottom row white. */
  function writeBmp({ bits, topDown = false }: { bits: 8 | 24 | 32; topDown?: boolean }): Buffer {
    const palette = bits === 8 ? 12 : 0;
    const header = Buffer.alloc(54 + palette);
    header.write('BM', 'latin1');
    header.writeUInt32LE(54 + palette, 10);
    header.writeUInt32LE(40, 14);
    header.writeInt32LE(8, 18);
    header.writeInt32LE(topDown ? -4 : 4, 22);
    header.writeUInt16LE(1, 26);
    header.writeUInt16LE(bits, 28);
    if (bits === 8) {
      header.writeUInt32LE(3, 46);
      Buffer.from([0, 0, 255, 0, 255, 0, 0, 0, 255, 255, 255, 0]).copy(header, 54);
    }
    const rows = [3, 2, 1, 0].map((row) =>
      Buffer.concat(
        Array.from({ length: 8 }, (_, x) => {
          const color = row === 3 ? 2 : x < 4 ? 0 : 1;
          const bgr = [
            [0, 0, 255],
            [255, 0, 0],
            [255, 255, 255],
          ][color]!;
          return Buffer.from(bits === 8 ? [color] : bits === 24 ? bgr : [...bgr, 0]);
        }),
      ),
    );
    return Buffer.concat([header, ...(topDown ? rows.reverse() : rows)]);
  }

  test.each([
    [8, false],
    [24, false],
    [32, false],
    [24, true],
  ] as const)('%i bits, top down %s', async (bits, topDown) => {
    expect(await corners(writeBmp({ bits, topDown }))).toEqual([RED, BLUE, WHITE]);
  });

  test('runs of equal pixels, and a command for the rest of a line', async () => {
    const plain = writeBmp({ bits: 8 });
    plain.writeUInt32LE(1, 30);
    const runs = Buffer.from([8, 2, 0, 0, ...[1, 2, 3].flatMap(() => [4, 0, 0, 4, 1, 1, 1, 1, 0, 0]), 0, 1]);
    expect(await corners(Buffer.concat([plain.subarray(0, 66), runs]))).toEqual([RED, BLUE, WHITE]);
  });

  test('a pixel of a color that the palette does not have is damage', async () => {
    const file = writeBmp({ bits: 8 });
    file.writeUInt32LE(2, 46);
    await expect(prepare(file)).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('one that is cut is CORRUPT, and one with a PNG inside is not supported', async () => {
    const file = writeBmp({ bits: 24 });
    await expect(prepare(file.subarray(0, -1))).rejects.toMatchObject({ code: 'CORRUPT' });
    file.writeUInt32LE(5, 30);
    await expect(prepare(file)).rejects.toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
      message: expect.stringContaining('PNG'),
    });
  });
});

test('of an icon the largest picture is taken', async () => {
  const draw = (side: number, background: string) =>
    sharp({ create: { width: side, height: side, channels: 4, background } })
      .png()
      .toBuffer();
  const pictures = [await draw(16, '#0000ff'), await draw(32, '#ff0000')];
  const directory = Buffer.alloc(6 + 16 * 2);
  directory.writeUInt16LE(1, 2);
  directory.writeUInt16LE(2, 4);
  let offset = directory.length;
  pictures.forEach((picture, i) => {
    const at = 6 + 16 * i;
    directory.fill(i === 0 ? 16 : 32, at, at + 2);
    directory.writeUInt16LE(32, at + 6);
    directory.writeUInt32LE(picture.length, at + 8);
    directory.writeUInt32LE(offset, at + 12);
    offset += picture.length;
  });
  expect(await corners(Buffer.concat([directory, ...pictures]))).toEqual([RED, RED, RED]);
});

test('the canvas that the first frame of a GIF leaves uncovered is white', async () => {
  const gif = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#ff0000' } })
    .gif()
    .toBuffer();
  gif.writeUInt16LE(8, 6);
  expect(await corners(gif)).toEqual([RED, WHITE, RED]);
});

test('a GIF whose code words end before its pixels is CORRUPT', async () => {
  const gif = await sharp('models/samples/rocket.jpg').resize(64, 64).gif().toBuffer();
  // An empty block in the middle ends the data.
  const data = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0])) + 11;
  const cut = Buffer.concat([gif.subarray(0, data + 1 + gif[data]! + 1), Buffer.from([0, 0x3b])]);
  await expect(prepare(cut)).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a PQ PNG is tone-mapped: diffuse white of 203 cd/m2 is white', async () => {
  // ITU-R BT.2100: 203 cd/m2 is 0.5807 of the signal.
  const pixels = new Uint16Array(64 * 64 * 3).fill(Math.round(0.5807 * 65_535));
  const raw = { width: 64, height: 64, channels: 3 } as const;
  const png = await sharp(pixels, { raw }).toColourspace('rgb16').png().toBuffer();
  const [color] = await corners(insertChunk(png, 'cICP', Buffer.from([9, 16, 0, 1])));
  for (const channel of color!) expect(channel).toBeGreaterThan(252);
  const [dull] = await corners(png);
  expect(dull![0]).toBeLessThan(155);
});

test("an app's own kind of PNG is named", async () => {
  const png = await sharp('models/samples/rocket.jpg').resize(16).png().toBuffer();
  const file = Buffer.concat([
    png.subarray(0, 8),
    Buffer.from('\0\0\0\x04CgBI\x50\0\x20\x02\0\0\0\0', 'latin1'),
    png.subarray(8),
  ]);
  await expect(prepare(file)).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
    message: expect.stringContaining('CgBI'),
  });
});

describe('TIFF', () => {
  test('a damaged tile is CORRUPT, not black', async () => {
    const tiff = await sharp('models/samples/rocket.jpg')
      .resize(256, 256)
      .tiff({ compression: 'deflate', tile: true, tileWidth: 64, tileHeight: 64 })
      .toBuffer();
    expect((await prepare(tiff)).length).toBe(96);
    const offsets = openTiffDirectory(tiff).read(324, 16);
    expect(offsets.length).toBe(16);
    for (const offset of offsets) {
      const damaged = Buffer.from(tiff);
      damaged.fill(0xff, offset, offset + 4);
      await expect(prepare(damaged)).rejects.toMatchObject({ code: 'CORRUPT' });
    }
  });

  test.each(['none', 'lzw', 'deflate', 'jpeg'] as const)(
    'tiles with %s compression are put together',
    async (compression) => {
      const flag = await sharp({ create: { width: 150, height: 100, channels: 3, background: '#ff0000' } })
        .composite([
          { input: { create: { width: 75, height: 100, channels: 3, background: '#0000ff' } }, left: 75, top: 0 },
        ])
        .png()
        .toBuffer();
      const tiff = await sharp(flag)
        .tiff({ compression, quality: 100, tile: true, tileWidth: 64, tileHeight: 64 })
        .toBuffer();
      const [left, right] = await corners(tiff);
      expect(left![0]! - left![2]!).toBeGreaterThan(200);
      expect(right![2]! - right![0]!).toBeGreaterThan(200);
    },
  );

  test('a channel without a meaning is not transparency', async () => {
    const data = Buffer.from(Array.from({ length: 32 }, () => [255, 0, 0, 0]).flat());
    const tiff = wrapTiff({ data, width: 8, height: 4, channels: 4 }, Buffer.from('none'));
    expect(await corners(tiff)).toEqual([WHITE, WHITE, WHITE]);
    // ExtraSamples is the eleventh entry.
    tiff.writeUInt16LE(0, 10 + 12 * 10 + 8);
    expect(await corners(tiff)).toEqual([RED, RED, RED]);
  });

  test('floating-point samples of 0 to 1 are scaled, others are refused', async () => {
    const tiff = wrapTiff({ data: Buffer.alloc(8 * 4 * 4), width: 8, height: 4, channels: 1 }, Buffer.from('none'));
    // One sample of 32 bits per pixel; the profile's entry becomes the sample format.
    tiff.writeUInt16LE(32, 10 + 12 * 2 + 8);
    const profile = 10 + 12 * 10;
    tiff.writeUInt16LE(339, profile);
    tiff.writeUInt16LE(3, profile + 2);
    tiff.writeUInt32LE(1, profile + 4);
    tiff.writeUInt32LE(3, profile + 8);
    const pixels = tiff.length - 8 * 4 * 4;
    for (let i = 0; i < 32; i++) tiff.writeFloatLE(0.5, pixels + 4 * i);
    expect(await corners(tiff)).toEqual([
      [128, 128, 128],
      [128, 128, 128],
      [128, 128, 128],
    ]);
    tiff.writeFloatLE(300, pixels);
    await expect(prepare(tiff)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
  });
});
