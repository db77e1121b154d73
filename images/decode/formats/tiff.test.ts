import sharp from 'sharp';
import { expect, test } from 'vitest';
import { openTiffDirectory } from '../../inspect/tiff-directory.ts';
import { prepareImage } from '../../preprocess.ts';
import { BLUE, corners, prepare, RED, WHITE } from '../../test/tiny-input.fixture.ts';
import { wrapTiff } from './wrap-tiff.ts';

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

test('sizes of an invalid type are CORRUPT, channels without a list of meanings are not supported', async () => {
  const rgb = { data: Buffer.alloc(8 * 4 * 3, 255), width: 8, height: 4, channels: 3 } as const;
  for (const entry of [0, 1, 3, 4, 6]) {
    const tiff = wrapTiff(rgb, Buffer.from('none'));
    tiff.writeUInt16LE(1, 10 + 12 * entry + 2);
    await expect(prepare(tiff)).rejects.toMatchObject({ code: 'CORRUPT' });
  }
  const gray = wrapTiff(rgb, Buffer.from('none'));
  gray.writeUInt16LE(1, 10 + 12 * 4 + 8);
  const message = expect.stringContaining('channels whose meaning');
  await expect(prepare(gray)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT', message });
});

test('an incomplete palette, a repeated tag and a missing color interpretation are CORRUPT', async () => {
  const tiff = wrapTiff({ data: Buffer.alloc(32, 1), width: 8, height: 4, channels: 1 }, Buffer.alloc(1_536, 255));
  const entry = (i: number) => 10 + 12 * i;
  tiff.writeUInt16LE(3, entry(4) + 8);
  // The profile's entry becomes the palette.
  const palette = entry(10);
  tiff.writeUInt16LE(320, palette);
  tiff.writeUInt16LE(3, palette + 2);
  tiff.writeUInt32LE(768, palette + 4);
  expect(await corners(tiff)).toEqual([WHITE, WHITE, WHITE]);
  const damages: ((file: Buffer) => unknown)[] = [
    (file) => file.writeUInt32LE(767, palette + 4),
    (file) => file.writeUInt32LE(0x8000_0000, palette + 4),
    (file) => file.writeUInt32LE(file.length, palette + 8),
    (file) => file.writeUInt16LE(340, palette),
    (file) => file.writeUInt16LE(258, entry(1)),
    (file) => file.writeUInt16LE(261, entry(4)),
  ];
  for (const damage of damages) {
    const file = Buffer.from(tiff);
    damage(file);
    await expect(prepare(file)).rejects.toMatchObject({ code: 'CORRUPT' });
  }
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

test.each([0, 9, 65_535])('orientation %i, which does not exist, is ignored', async (orientation) => {
  const flag = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#ff0000' } })
    .composite([{ input: { create: { width: 32, height: 64, channels: 3, background: '#0000ff' } }, left: 32, top: 0 }])
    .png()
    .toBuffer();
  const tiff = await sharp(flag).tiff({ compression: 'none' }).toBuffer();
  const { entries, isLittleEndian } = openTiffDirectory(tiff);
  const entry = entries.find(({ tag }) => tag === 274)!;
  tiff[isLittleEndian ? 'writeUInt16LE' : 'writeUInt16BE'](orientation, entry.values);
  const [left, right] = await corners(tiff);
  expect([left, right]).toEqual([RED, BLUE]);
});

test.each(['premultiplied', 'float'])('an orientation that does not exist is ignored in a %s TIFF', async (kind) => {
  const image = sharp({ create: { width: 64, height: 64, channels: 4, background: '#ff0000' } });
  const typed = kind === 'float' ? image.removeAlpha().toColourspace('scrgb') : image;
  const tiff = await typed.tiff({ compression: 'none' }).toBuffer();
  const { entries, isLittleEndian } = openTiffDirectory(tiff);
  const write = (wanted: number, value: number) => {
    const entry = entries.find(({ tag }) => tag === wanted)!;
    tiff[isLittleEndian ? 'writeUInt16LE' : 'writeUInt16BE'](value, entry.values);
  };
  write(274, 9);
  if (kind === 'premultiplied') write(338, 1);
  expect((await corners(tiff))[0]).toEqual(RED);
});

test('the profile of tiles is ignored like that of strips', async () => {
  const image = sharp({ create: { width: 64, height: 64, channels: 3, background: '#804020' } }).withIccProfile('p3');
  const input = { width: 1, height: 1, channels: 3, kernel: 'nearest', resize: 'pillow-nearest' } as const;
  const pixels = ({ tile }: { tile: boolean }) =>
    image
      .clone()
      .tiff({ compression: 'none', tile, tileWidth: 32, tileHeight: 32 })
      .toBuffer()
      .then((file) => prepareImage(file, input, 4_096));
  const strips = await pixels({ tile: false });
  expect(await pixels({ tile: true })).toEqual(strips);
  expect([...strips]).not.toEqual([0x80, 0x40, 0x20]);
});
