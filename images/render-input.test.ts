import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { fitPixels } from './fit-pixels.ts';
import { prepareImage } from './preprocess.ts';
import { estimateFit, type ModelInput, renderInput } from './render-input.ts';
import { drawPixels } from './resize/golden/golden.fixture.ts';

const INPUT: ModelInput = { width: 224, height: 224, channels: 3, kernel: 'linear', resize: 'pillow-bilinear' };
const root = path.join(import.meta.dirname, '..');

const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'resize/golden/samples.json'), 'utf8')) as {
  cases: { file: string; resize: string; sha256: string }[];
};

test.each(golden.cases)('$file gives the bytes that a notebook with Pillow gives', async ({ file, resize, sha256 }) => {
  const bytes = readFileSync(path.join(root, 'models/samples', file));
  const pixels = await prepareImage(bytes, { ...INPUT, resize }, 64e6);
  expect(createHash('sha256').update(pixels).digest('hex')).toBe(sha256);
});

test('a color profile is ignored as the libraries do, or converted if the spec says so', async () => {
  const file = await sharp({ create: { width: 64, height: 64, channels: 3, background: { r: 200, g: 100, b: 50 } } })
    .withIccProfile('p3')
    .png()
    .toBuffer();
  const stored = [...(await sharp(file, { ignoreIcc: true }).raw().toBuffer()).subarray(0, 3)];
  const first = async (input: ModelInput) => [...(await prepareImage(file, input, 64e6)).subarray(0, 3)];
  expect(await first(INPUT)).toEqual(stored);
  const converted = await first({ ...INPUT, colorProfile: 'convert' });
  expect(converted).not.toEqual(stored);
  expect(await first({ ...INPUT, resize: 'sharp-linear' })).toEqual(converted);
  expect(await first({ ...INPUT, resize: 'canvas' })).toEqual(converted);
});

const RULES = [{}, { shortSide: 256 }, { cover: true }, { cropFraction: 0.875 }, { padColor: '#102030' }];

test.each(RULES)('the rule %o is applied to what was decoded', async (rule) => {
  const source = drawPixels(300, 200, 3);
  const image = sharp(source.data, { raw: { width: 300, height: 200, channels: 3 } });
  const ours = fitPixels(source, { ...INPUT, ...rule, resize: 'pillow-bilinear' });
  const rendered = await renderInput(image, { ...INPUT, ...rule });
  expect(Buffer.compare(rendered, ours)).toBe(0);
});

test('grayscale and transparency become the channels of the model', async () => {
  const grayAlpha = Buffer.from([10, 255, 200, 0, 90, 128, 30, 255]);
  const open = () => sharp(grayAlpha, { raw: { width: 2, height: 2, channels: 2 } }).toColourspace('b-w');
  const size = { ...INPUT, width: 2, height: 2 };
  const four = await renderInput(open(), { ...size, channels: 4 });
  expect([...four]).toEqual([10, 10, 10, 255, 200, 200, 200, 0, 90, 90, 90, 128, 30, 30, 30, 255]);
  const three = await renderInput(open(), size);
  expect(three).toHaveLength(12);
  expect([...three.subarray(3, 6)]).toEqual([255, 255, 255]);
});

test('a turned image is turned upright before it is cropped', async () => {
  const pixels = drawPixels(60, 40, 3);
  const turned = await sharp(pixels.data, { raw: { width: 60, height: 40, channels: 3 } })
    .rotate(270)
    .png()
    .toBuffer();
  const stored = await sharp(turned).withMetadata({ orientation: 6 }).png().toBuffer();
  const input = { ...INPUT, width: 32, height: 32, shortSide: 32 };
  const expected = fitPixels(pixels, { ...input, resize: 'pillow-bilinear' });
  expect(Buffer.compare(await prepareImage(stored, input, 64e6), expected)).toBe(0);
});

test('an image of extreme length needs no memory for what is cropped away', async () => {
  const file = await sharp({ create: { width: 30_000, height: 2, channels: 3, background: '#123456' } })
    .png()
    .toBuffer();
  const pixels = await prepareImage(file, { ...INPUT, shortSide: 256 }, 64e6);
  expect([...pixels.subarray(0, 3)]).toEqual([0x12, 0x34, 0x56]);
});

test('a resize of a later version is UNAVAILABLE here', async () => {
  const file = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  await expect(prepareImage(file, { ...INPUT, resize: 'skia-mitchell' }, 64e6)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('skia-mitchell'),
  });
});

test('the whole image in memory is counted only if it is needed', () => {
  const size = { width: 4000, height: 3000 };
  expect(estimateFit(size, { ...INPUT, resize: 'sharp-cubic' }).memoryBytes).toBe(0);
  expect(estimateFit(size, INPUT).memoryBytes).toBe(36e6);
  expect(estimateFit(size, { ...INPUT, channels: 4 }).memoryBytes).toBe(48e6);
});
