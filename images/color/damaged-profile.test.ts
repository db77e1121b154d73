import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { inspectImage } from '../inspect/inspect.ts';
import { hasDamagedProfile, isUsable } from './damaged-profile.ts';

let profile: Buffer;
beforeAll(async () => {
  const image = sharp({ create: { width: 8, height: 8, channels: 3, background: '#804020' } }).withIccProfile('p3');
  profile = (await sharp(await image.png().toBuffer()).metadata()).icc!;
});

const placeOf = (tag: string) => profile.readUInt32BE(profile.indexOf(tag) + 4);

describe('a profile', () => {
  test.each(['p3', 'srgb', 'cmyk'])('as programs write it can be used: %s', async (name) => {
    const image = sharp({ create: { width: 8, height: 8, channels: 3, background: '#804020' } });
    const file = await (name === 'cmyk' ? image.toColourspace('cmyk') : image).withIccProfile(name).jpeg().toBuffer();
    expect(isUsable((await sharp(file).metadata()).icc!)).toBe(true);
  });

  test.each([
    ['primaries that do not add up to white', () => placeOf('gXYZ') + 8, 0x7f],
    ['a gamma that no display has', () => placeOf('rTRC') + 12, 0x7f],
    ['more tags than it can hold', () => 128, 0x7f],
    ['another signature', () => 36, 0x20],
    ['a length beyond its end', () => 0, 0x7f],
  ])('with %s cannot', (_name, at, value) => {
    const damaged = Buffer.from(profile);
    damaged[at()] = value;
    expect(isUsable(damaged)).toBe(false);
  });
});

test.each(['avif', 'webp', 'tiff'] as const)('it is found in %s', async (format) => {
  const image = sharp({ create: { width: 64, height: 64, channels: 3, background: '#804020' } });
  const file = await image.clone().withIccProfile('p3').toFormat(format).toBuffer();
  expect(hasDamagedProfile(file, inspectImage(file))).toBe(false);
  file[file.indexOf('acsp')] = 0;
  expect(hasDamagedProfile(file, inspectImage(file))).toBe(true);
  const without = await image.clone().toFormat(format).toBuffer();
  expect(hasDamagedProfile(without, inspectImage(without))).toBe(false);
});
