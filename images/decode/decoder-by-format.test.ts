import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { describe, expect, test } from 'vitest';
import { prepareImage } from '../preprocess.ts';
import { canDecodeHeic } from './formats/heic.ts';

const INPUTS = '../shared/field/inputs';
const MAX_PIXELS = 64_000_000;
const INPUT: ServedModel['input'] = { width: 224, height: 224, channels: 3, shortSide: 256, kernel: 'linear' };

const read = (name: string) => readFileSync(join(INPUTS, name));

async function answer(file: Buffer): Promise<Buffer | string> {
  try {
    return await prepareImage(file, INPUT, MAX_PIXELS);
  } catch (error) {
    if (error instanceof InferqlError) return error.code;
    throw error;
  }
}

/** The mean difference of a channel, 0 to 255. */
function distance(a: Buffer | string, b: Buffer | string): number {
  if (typeof a === 'string' || typeof b === 'string') throw new Error(`${a} and ${b} are not both pixels`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}

describe.skipIf(!existsSync(INPUTS))('files from bug reports (needs ../shared/field/inputs)', () => {
  test.each([
    ['grey-float.tif', 'ref-cat-small-grey.png', 1],
    ['rgb-two-alphas.tif', 'ref-cat-small.png', 1],
    ['rgb-spot-channel.tif', 'ref-cat-small.png', 1],
    ['hdr-pq.png', 'ref-cat-small.png', 4],
    ['pq.avif', 'ref-cat-small.png', 6],
    ['no-end-marker-trailer.jpg', 'ref-cat.png', 3],
    ['part-of-canvas.gif', 'ref-cat-on-canvas.png', 4],
    ['sequence.avif', 'ref-cat-256x192.png', 3],
    ['old-jpeg-in-tiff.tif', 'ref-cat.png', 3],
  ])('%s is decoded like %s', async (name, plain, tolerance) => {
    expect(distance(await answer(read(name)), await answer(read(plain)))).toBeLessThan(tolerance);
  });

  test.each([
    ['zstd-strips.tif', 'Zstandard'],
    ['zstd-tiles.tif', 'Zstandard'],
    ['lab.tif', 'Lab'],
    ['12-bit.jpg', '12 bits'],
    ['apple-cgbi.png', 'CgBI'],
    ['phone-raw-no-preview.dng', 'raw'],
  ])('%s is UNSUPPORTED_FORMAT, and the message names %s', async (name, feature) => {
    await expect(prepareImage(read(name), INPUT, MAX_PIXELS)).rejects.toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
      message: expect.stringContaining(feature),
    });
  });

  test('an AVIF whose color coding has bits without a meaning is CORRUPT', async () => {
    const file = read('pq.avif');
    const range = file.indexOf('colrnclx') + 14;
    expect(file[range]! & 0x7f).toBe(0);
    file[range]! |= 0x10;
    expect(await answer(file)).toBe('CORRUPT');
  });

  test.each(['damaged-lzw-tiles.tif', 'damaged-zlib-tiles.tif'])('%s is CORRUPT', async (name) => {
    expect(await answer(read(name))).toBe('CORRUPT');
  });

  test('phone.heic is decoded if the operator installed the decoder; if not, the message names both ways out', async () => {
    if (canDecodeHeic()) {
      expect(distance(await answer(read('phone.heic')), await answer(read('ref-cat.png')))).toBeLessThan(6);
    } else {
      const message = expect.stringMatching(/HEIC.*JPEG.*npm install/);
      await expect(prepareImage(read('phone.heic'), INPUT, MAX_PIXELS)).rejects.toMatchObject({
        code: 'UNSUPPORTED_FORMAT',
        message,
      });
    }
  });
});
