import { InferqlError } from '@inferql/queue/error-codes';
import sharp, { type Sharp } from 'sharp';
import { expect, test } from 'vitest';
import { prepareImage } from '../../preprocess.ts';
import { cutSecondPicture } from './jpeg-second-picture.ts';

const MAX_PIXELS = 64_000_000;
const INPUT = { width: 32, height: 32, channels: 3, kernel: 'linear' } as const;

const paint = (options = {}) =>
  sharp({ create: { width: 256, height: 192, channels: 3, background: '#c81e3c' }, ...options }).jpeg(options);

/** As phones write it for HDR displays: a JPEG, then the gain map as a second JPEG. */
async function paintForHdr(): Promise<{ hdr: Buffer; first: Buffer }> {
  // It is missing in the library's types.
  const image = sharp(await paint().toBuffer()) as Sharp & { withGainMap(): Sharp };
  const hdr = await image.withGainMap().jpeg().toBuffer();
  return { hdr, first: hdr.subarray(0, hdr.lastIndexOf(Buffer.from([0xff, 0xd8, 0xff]))) };
}

test('an Ultra HDR image is read up to the end of its first image, without a copy', async () => {
  const { hdr, first } = await paintForHdr();
  expect((await sharp(hdr).metadata()).gainMap).toBeDefined();
  const cut = cutSecondPicture(hdr);
  expect(cut.buffer).toBe(hdr.buffer);
  expect(cut.equals(first)).toBe(true);
  expect((await sharp(cut).metadata()).gainMap).toBeUndefined();
  expect(await prepareImage(hdr, INPUT, MAX_PIXELS)).toEqual(await prepareImage(first, INPUT, MAX_PIXELS));
});

test.each([
  ['sequential', {}],
  ['progressive', { progressive: true }],
])('a %s JPEG with a thumbnail stays complete', async (_name, options) => {
  const thumbnail = await sharp({ create: { width: 16, height: 12, channels: 3, background: '#fff' } })
    .jpeg()
    .toBuffer();
  const image = await paint(options).toBuffer();
  const segment = Buffer.concat([Buffer.from([0xff, 0xe1, 0, 0]), Buffer.from('Exif\0\0'), thumbnail]);
  segment.writeUInt16BE(segment.length - 2, 2);
  const file = Buffer.concat([image.subarray(0, 2), segment, image.subarray(2)]);
  expect(cutSecondPicture(file)).toBe(file);
  expect(cutSecondPicture(image)).toBe(image);
});

test('a second image inside the first is damage', async () => {
  const { hdr, first } = await paintForHdr();
  const damaged = Buffer.concat([first.subarray(0, -2), hdr.subarray(first.length)]);
  expect(() => cutSecondPicture(damaged)).toThrow(InferqlError);
});
