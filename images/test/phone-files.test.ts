/** Files as phones, messengers and editors write them, with more in them than a picture. */
import type { ServedModel } from '@inferql/queue/contract';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { prepareImage } from '../preprocess.ts';

const INPUT: ServedModel['input'] = { width: 32, height: 32, channels: 3, kernel: 'linear' };
const prepare = (file: Buffer) => prepareImage(file, INPUT, 64_000_000);
const photo = () => sharp('models/samples/rocket.jpg').resize(320, 240).removeAlpha();

/** The mean difference of a channel, 0 to 255. */
async function distanceToPhoto(file: Buffer): Promise<number> {
  const [ours, plain] = [await prepare(file), await prepare(await photo().png().toBuffer())];
  let sum = 0;
  for (let i = 0; i < plain.length; i++) sum += Math.abs(plain[i]! - ours[i]!);
  return sum / plain.length;
}

describe.each(['jpeg', 'png', 'webp', 'tiff', 'avif'] as const)('a %s', (format) => {
  test.each([
    [3, 180],
    [6, 270],
    [8, 90],
  ])('with orientation %i is turned upright', async (orientation, stored) => {
    // In two steps: in one, rotation comes before resizing.
    const turned = await sharp(await photo().png().toBuffer())
      .rotate(stored)
      .png()
      .toBuffer();
    const file = await sharp(turned).withMetadata({ orientation }).toFormat(format, { quality: 95 }).toBuffer();
    expect(await distanceToPhoto(file)).toBeLessThan(4);
  });
});

test.each<[string, (jpeg: Buffer) => Buffer[]]>([
  ['a film, as in motion photos', () => [Buffer.from('\0\0\0\x18ftypmp42\0\0\0\0isommp42\0\0\x10\0mdat', 'latin1')]],
  [
    'a film that contains a picture',
    (jpeg) => [Buffer.from('\0\0\0\x18ftypmp42'), jpeg.subarray(0, 400), Buffer.alloc(900, 0xff)],
  ],
  [
    'the list that Samsung appends',
    () => [Buffer.from('\0\0\x30\x0a\x10\0\0\0MotionPhoto_DataSEFH\x6b\0\0\0\x18\0\0\0SEFT')],
  ],
  ['zeros up to a block of the card', () => [Buffer.alloc(4_096)]],
])('behind a JPEG, %s does not matter', async (_what, append) => {
  const jpeg = await photo().jpeg({ quality: 95 }).toBuffer();
  expect(await distanceToPhoto(Buffer.concat([jpeg, ...append(jpeg)]))).toBeLessThan(3);
});

test('of an animated sticker the first frame is taken, on white', async () => {
  const frames = ['#ff000080', '#0000ff80'].map((background) => ({
    create: { width: 64, height: 64, channels: 4 as const, background },
  }));
  const pages = await Promise.all(frames.map((frame) => sharp(frame).png().toBuffer()));
  const sticker = await sharp(pages, { join: { animated: true } })
    .webp({ lossless: true })
    .toBuffer();
  const [red, green, blue] = await prepare(sticker);
  expect(red).toBeGreaterThan(250);
  for (const channel of [green!, blue!]) expect(Math.abs(channel - 127)).toBeLessThan(4);
});

test.each([
  [16_384, 1_024],
  [60, 12_000],
])('a panorama or a long screenshot of %i x %i is accepted', async (width, height) => {
  const file = await sharp({ create: { width, height, channels: 3, background: '#c63' } })
    .jpeg()
    .toBuffer();
  expect(Math.abs((await prepare(file))[0]! - 0xcc)).toBeLessThan(4);
});
