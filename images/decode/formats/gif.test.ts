import type { ServedModel } from '@inferql/queue/contract';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { prepareImage } from '../../preprocess.ts';
import { hasAllPixels } from './gif-data.ts';

const INPUT: ServedModel['input'] = { width: 8, height: 4, channels: 3, kernel: 'nearest' };
/** The separator and position of a frame in the left top corner. */
const FRAME = Buffer.from([0x2c, 0, 0, 0, 0]);

/** A red GIF, transparent if alpha is 0, whose only frame is at a place on a canvas. */
async function writeGif(
  [width, height]: [number, number],
  { canvas, at, alpha = 1 }: { canvas: [number, number]; at: [number, number]; alpha?: number },
): Promise<Buffer> {
  const background = { r: 255, g: 0, b: 0, alpha };
  const gif = await sharp({ create: { width, height, channels: 4, background } })
    .gif()
    .toBuffer();
  const frame = gif.indexOf(FRAME);
  gif.writeUInt16LE(canvas[0], 6);
  gif.writeUInt16LE(canvas[1], 8);
  gif.writeUInt16LE(at[0], frame + 1);
  gif.writeUInt16LE(at[1], frame + 3);
  return gif;
}

/** Rows of `r` for red and `w` for white. */
async function draw(gif: Buffer): Promise<string[]> {
  const pixels = await prepareImage(gif, INPUT, 1_000);
  const colors = Array.from({ length: 32 }, (_, i) => pixels.subarray(3 * i, 3 * i + 3).join());
  const letters = colors.map((color) => ({ '255,0,0': 'r', '255,255,255': 'w' })[color] ?? color);
  return [0, 8, 16, 24].map((row) => letters.slice(row, row + 8).join(''));
}

test('the first frame is where the file says, on white', async () => {
  expect(await draw(await writeGif([4, 2], { canvas: [8, 4], at: [3, 1] }))).toEqual([
    'wwwwwwww',
    'wwwrrrrw',
    'wwwrrrrw',
    'wwwwwwww',
  ]);
  const hidden = await writeGif([4, 2], { canvas: [8, 4], at: [3, 1], alpha: 0 });
  expect(await draw(hidden)).toEqual(Array(4).fill('wwwwwwww'));
});

test.each([
  [0, 0],
  [2, 4],
  [8, 1],
] as const)('a canvas of %i x %i grows to hold the first frame', async (...canvas) => {
  expect(await draw(await writeGif([8, 4], { canvas: [...canvas], at: [0, 0] }))).toEqual(Array(4).fill('rrrrrrrr'));
  expect(await draw(await writeGif([7, 3], { canvas: [...canvas], at: [1, 1] }))).toEqual([
    'wwwwwwww',
    ...Array(3).fill('wrrrrrrr'),
  ]);
});

test('a first frame without pixels is CORRUPT', async () => {
  const gif = await writeGif([4, 4], { canvas: [8, 4], at: [0, 0] });
  gif.writeUInt16LE(0, gif.indexOf(FRAME) + 5);
  await expect(draw(gif)).rejects.toMatchObject({ code: 'CORRUPT' });
});

/** A block of code words for pixels of 2 bits, each of 3 bits or with its length: 4 restarts the table, 5 ends, from 6 on they repeat. */
function writeCodes(words: string): Buffer {
  const bits = words
    .split(' ')
    .map((word) => word.split(':').map(Number))
    .map(([code, length = 3]) => code!.toString(2).padStart(length, '0'))
    .toReversed()
    .join('');
  const bytes = Array.from({ length: Math.ceil(bits.length / 8) }, (_, i) =>
    Number.parseInt(bits.slice(Math.max(bits.length - 8 * (i + 1), 0), bits.length - 8 * i), 2),
  );
  return Buffer.from([2, bytes.length, ...bytes, 0]);
}

test.each([
  ['end with their mark', '4 0 1 5', true],
  ['end without it', '4 0 1', true],
  ['restart in the middle', '4 0 4 1 5', true],
  ['restart with one that is not known yet', '4 0 4 6 5', false],
  ['repeat more than there are pixels', '4 0 6', false],
  ['end before the pixels', '4 0 5', false],
  ['continue behind the pixels', '4 0 1 1 5', false],
  ['begin with one that is not known yet', '4 6 0 5', false],
  ['name one that is not known yet', '4 0 7 1 5:4', false],
])('code words of two pixels that %s: %s', (_how, words, isWhole) => {
  expect(hasAllPixels(writeCodes(words), 0, 2)).toBe(isWhole);
});

test('code words get longer as more are known, and short again after a new beginning', () => {
  expect(hasAllPixels(writeCodes('4 0 4 1 6 0 5:4'), 0, 5)).toBe(true);
});

test('a small GIF whose code words end without a mark is decoded, one whose code words end before the pixels is CORRUPT', async () => {
  const head = Buffer.alloc(13);
  head.write('GIF89a', 'latin1');
  head.set([2, 0, 1, 0, 0x81], 6);
  const palette = [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0];
  const frame = [...FRAME, 2, 0, 1, 0, 0];
  const write = (codes: string) =>
    Buffer.concat([head, Buffer.from(palette), Buffer.from(frame), writeCodes(codes), Buffer.from(';')]);
  expect(await draw(write('4 0 1'))).toEqual(Array(4).fill('wwwwrrrr'));
  await expect(draw(write('4 0 5'))).rejects.toMatchObject({ code: 'CORRUPT' });
});
