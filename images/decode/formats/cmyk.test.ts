import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ServedModel } from '@inferql/queue/contract';
import { describe, expect, test } from 'vitest';
import { prepareImage } from '../../preprocess.ts';

const read = (name: string) => readFileSync(path.join(import.meta.dirname, 'samples', name));
/** What `Image.open(name).convert('RGB')` gives, printed by samples/make.py. */
const PILLOW = {
  'cmyk.jpg':
    '907b676e462158493a3918ce2d241a11a58e0d0a067c6a565a3614483d2f2c0dba20191209937b0403026c5d4a4c26093d322621049f1c140e01836b0000005e4d3f3d1bda30271c16ad940e0a07816f5b5e38174c3e312f12be251d150d958009070472604f4f2e0e3f34272605b119130d0688710202015e4d3e411f00352a1f1ab59b100c088c75636544205343353416ca271f170fa1880a07057a6752543111413529280cb31d1710078b75040302655444462505382c221d029e16100b',
  'cmyk.tif':
    '907b666a452158493a3819cf2c231912a68d0d09067e6b57593714493c2f2b0eba211a1209937c0604026d5b4a4a29083c30252004a618120c02816b0000005d4d3d3c1dd630261c15ad930f0b0784705c5f3b184e40322f12c1251d140c998108060372604e4f2d0c4034282308ac1b140e04877102010162524141210134291f19b399120d098a756164401c5344363315c82820170f9f870a070478655354321045382b270bb31e1710078d76040301675646452504382d221c019f15100a',
};
const INPUT: ServedModel['input'] = { width: 8, height: 8, channels: 3, kernel: 'nearest' };

describe.each(['cmyk.jpg', 'cmyk.tif'] as const)('%s', (name) => {
  test.each(['pillow-nearest', 'torchvision-nearest'])('is converted as by Pillow for %s', async (resize) => {
    const pixels = await prepareImage(read(name), { ...INPUT, resize }, 64);
    expect(pixels.toString('hex')).toBe(PILLOW[name]);
  });

  test('is converted with a profile if the model asks for it, and otherwise not', async () => {
    const prepare = (input: Partial<ServedModel['input']>) => prepareImage(read(name), { ...INPUT, ...input }, 64);
    const converted = await prepare({ resize: 'pillow-nearest', colorProfile: 'convert' });
    expect(converted.toString('hex')).not.toBe(PILLOW[name]);
    expect(await prepare({ resize: 'sharp-nearest' })).toEqual(converted);
    const plain = await prepare({ resize: 'sharp-nearest', colorProfile: 'ignore' });
    expect(plain.toString('hex')).toBe(PILLOW[name]);
  });
});

test('a truncated one is CORRUPT', async () => {
  const cut = read('cmyk.jpg').subarray(0, -40);
  const prepared = prepareImage(cut, { ...INPUT, resize: 'pillow-nearest' }, 64);
  await expect(prepared).rejects.toMatchObject({ code: 'CORRUPT' });
});
