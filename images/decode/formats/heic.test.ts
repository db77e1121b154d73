import { readFileSync } from 'node:fs';
import type { ServedModel } from '@inferql/queue/contract';
import { describe, expect, test } from 'vitest';
import { inspectImage } from '../../inspect/inspect.ts';
import { prepareImage } from '../../preprocess.ts';
import { canDecodeHeic } from './heic.ts';

const INPUT: ServedModel['input'] = { width: 8, height: 4, channels: 3, kernel: 'nearest' };
const read = (name: string) => readFileSync(`images/decode/formats/samples/${name}.heic`);
const prepare = (file: Buffer) => prepareImage(file, INPUT, 64_000_000);

describe('what a HEIC file says', () => {
  test.each([
    ['plain', 128, 96],
    ['transparent', 128, 96],
  ])('%s: its size, and that it is whole', (name, width, height) => {
    expect(inspectImage(read(name))).toMatchObject({ format: 'heic', width, height, isWhole: true });
  });

  test('a block that was lost or overwritten makes it CORRUPT, although its decoder would conceal that', () => {
    const file = read('plain');
    const pixels = file.indexOf('mdat') + 4;
    const zeroed = Buffer.from(file).fill(0, pixels + 40, pixels + 44);
    const shifted = Buffer.concat([file.subarray(0, pixels), Buffer.from([9]), file.subarray(pixels)]);
    const cut = file.subarray(0, -10);
    for (const damaged of [zeroed, shifted, cut]) expect(inspectImage(damaged).isWhole).toBe(false);
  });

  test('parameter sets that are damaged make it CORRUPT', () => {
    const file = read('plain');
    const config = file.indexOf('hvcC') + 4;
    for (const at of [0, 22, 24, 26, 28]) {
      const damaged = Buffer.from(file);
      damaged[config + at]! ^= 0x40;
      expect(inspectImage(damaged).isWhole).toBe(false);
    }
  });

  test('parts that overlap, which would make much of a small file, are CORRUPT', () => {
    const file = read('plain');
    const locations = file.indexOf('iloc') + 4;
    // A thousand parts without offset and length: each is the rest of the file.
    file.writeUInt16BE(0x0040, locations + 4);
    file.writeUInt16BE(1_000, locations + 16);
    expect(() => inspectImage(file)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
    file.writeUInt16BE(60_000, locations + 16);
    expect(() => inspectImage(file)).toThrow(expect.objectContaining({ code: 'TOO_COMPLEX' }));
  });
});

/** The middle of the left half, of the right half, and the bottom left corner. */
async function colors(file: Buffer): Promise<number[][]> {
  const pixels = await prepare(file);
  return [10, 14, 24].map((pixel) => [...pixels.subarray(3 * pixel, 3 * pixel + 3)]);
}

function expectNear(found: number[][], wanted: number[][]): void {
  found.forEach((color, i) => {
    color.forEach((value, channel) => {
      expect(Math.abs(value - wanted[i]![channel]!)).toBeLessThan(12);
    });
  });
}

const [RED, BLUE, WHITE] = [
  [255, 0, 0],
  [0, 0, 255],
  [255, 255, 255],
];

// The operator installs the decoder, see docs/images.md.
if (canDecodeHeic()) {
  describe('with its decoder', () => {
    test('a plain one, and one that is transparent, which is composited on white', async () => {
      for (const name of ['plain', 'transparent']) expectNear(await colors(read(name)), [RED!, BLUE!, WHITE!]);
    });

    test('a rotated one is upright', async () => {
      // Rotated by 90 degrees clockwise: the bottom is left, and red is above blue.
      const file = read('plain');
      const at = file.indexOf('pixi');
      file.write('irot', at);
      file[at + 4] = 3;
      const pixels = await prepare(file);
      const color = (x: number, y: number) => [...pixels.subarray(3 * (8 * y + x), 3 * (8 * y + x) + 3)];
      expectNear([color(6, 0), color(6, 3), color(0, 0)], [RED!, BLUE!, WHITE!]);
    });
  });
} else {
  test('without its decoder, the message names HEIC and both ways out', async () => {
    const message = expect.stringMatching(/HEIC.*JPEG.*npm install/);
    await expect(prepare(read('plain'))).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT', message });
  });
}
