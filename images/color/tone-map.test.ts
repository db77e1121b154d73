import type { ServedModel } from '@inferql/queue/contract';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { prepareImage } from '../preprocess.ts';
import { writeHlgPng } from './hlg.fixture.ts';

const INPUT: ServedModel['input'] = { width: 64, height: 64, channels: 3, kernel: 'linear' };
const prepare = (file: Buffer) => prepareImage(file, INPUT, 1_000_000);

/** The tone-mapped color of an SDR color that was written as HLG. */
async function mapColor(rgb: number[], gain = 1): Promise<number[]> {
  const pixels = Buffer.from(Array.from({ length: 64 * 64 }, () => rgb).flat());
  return [...(await prepare(await writeHlgPng(pixels, 64, 64, gain))).subarray(0, 3)];
}

describe('an HLG image', () => {
  test('keeps colors as dark as skin and foliage, whose primaries are converted', async () => {
    for (const color of [
      [0, 0, 0],
      [60, 60, 60],
      [120, 120, 120],
      [130, 60, 40],
      [40, 110, 50],
      [30, 50, 140],
    ]) {
      const mapped = await mapColor(color);
      for (let channel = 0; channel < 3; channel++)
        expect(Math.abs(mapped[channel]! - color[channel]!)).toBeLessThan(3);
    }
  });

  test('rolls highlights off: diffuse white is bright, its peak is white, and in between it only rises', async () => {
    const grays = await Promise.all(
      [0.5, 1, 2, 3, 4.926].map(async (gain) => (await mapColor([255, 255, 255], gain))[1]!),
    );
    expect(grays[1]).toBeGreaterThan(200);
    expect(grays.at(-1)).toBeGreaterThan(252);
    expect(grays).toEqual([...grays].sort((a, b) => a - b));
  });

  test('of a photo is read like the photo, not dull', async () => {
    const photo = sharp('models/samples/rocket.jpg').resize(160, 120).removeAlpha();
    const pixels = await photo.clone().raw().toBuffer();
    const hlg = await writeHlgPng(pixels, 160, 120);
    const original = await prepare(await photo.clone().png().toBuffer());
    const dull = await sharp(hlg)
      .resize(64, 64, { fit: 'fill', kernel: 'linear' })
      .toColourspace('srgb')
      .raw()
      .toBuffer();
    const mapped = distance(await prepare(hlg), original);
    expect(mapped).toBeLessThan(4);
    expect(distance(dull, original)).toBeGreaterThan(4 * mapped);
  });
});

/** The mean difference of a channel, 0 to 255. */
function distance(a: Buffer, b: Buffer): number {
  expect(a.length).toBe(b.length);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}
