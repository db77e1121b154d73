import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { fitPixels } from '../fit-pixels.ts';
import { inspectImage } from '../inspect/inspect.ts';
import { isHarmless } from '../preprocess.ts';
import type { Area, Pixels } from '../resize/pixels.ts';
import { compileKernels } from './compile-kernels.fixture.ts';
import { readPlainHeader } from './header.ts';
import { KERNELS } from './kernels.wasm.ts';
import { preparePlainJpeg } from './model-pixels.ts';
import { decodePlainJpeg } from './plain-jpeg.ts';

const folder = path.join(import.meta.dirname, 'samples');
const { sha256 } = JSON.parse(readFileSync(path.join(folder, 'pixels.json'), 'utf8')) as {
  sha256: Record<string, string>;
};
const readSample = (name: string) => readFileSync(path.join(folder, name));

function decode(file: Buffer, wanted?: Area): Pixels | undefined {
  const jpeg = readPlainHeader(file);
  return jpeg && decodePlainJpeg(file, jpeg, wanted ?? { left: 0, top: 0, width: jpeg.width, height: jpeg.height });
}

/** @throws if the file is damaged */
async function decodeBySharp(file: Buffer, failOn: 'warning' | 'error' = 'warning'): Promise<Buffer> {
  const image = sharp(file, { failOn, ignoreIcc: true });
  const { channels } = await image.metadata();
  return (channels === 1 ? image.extractChannel(0) : image).raw().toBuffer();
}

test('the committed kernels are what kernels/ compiles to', async () => {
  expect(await compileKernels()).toBe(KERNELS);
});

describe('the same pixels, bit by bit', () => {
  test.each(Object.entries(sha256))("as Pillow's and sharp's: %s", async (name, digest) => {
    const file = readSample(name);
    const pixels = decode(file);
    expect(pixels).toBeDefined();
    expect(createHash('sha256').update(pixels!.data).digest('hex')).toBe(digest);
    expect(Buffer.compare(pixels!.data, await decodeBySharp(file))).toBe(0);
  });

  const images = '../shared/images';
  test.skipIf(!existsSync(images))(`as sharp's: other JPEGs (needs ${images})`, async () => {
    for (const name of readdirSync(images).filter((name) => name.endsWith('.JPEG'))) {
      const file = readFileSync(path.join(images, name));
      const pixels = decode(file);
      expect(pixels, name).toBeDefined();
      expect(Buffer.compare(pixels!.data, await decodeBySharp(file)), name).toBe(0);
    }
  });

  test('as sharp reads what it writes, at any size and quality', async () => {
    const side = fc.integer({ min: 1, max: 80 });
    const subsampling = fc.constantFrom('4:2:0', '4:4:4');
    const quality = fc.integer({ min: 1, max: 100 });
    await fc.assert(
      fc.asyncProperty(side, side, subsampling, quality, fc.integer(), async (...given) => {
        const [width, height, chromaSubsampling, quality, seed] = given;
        const file = await sharp(drawNoise(width, height, seed), { raw: { width, height, channels: 3 } })
          .jpeg({ quality, chromaSubsampling })
          .toBuffer();
        const pixels = decode(file);
        if (pixels) expect(Buffer.compare(pixels.data, await decodeBySharp(file))).toBe(0);
        else expect(width).toBeLessThanOrEqual(4);
      }),
      { numRuns: 200 },
    );
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])("turned upright as sharp's: orientation %i", async (orientation) => {
    for (const [width, height] of [
      [64, 48],
      [37, 61],
      [5, 90],
    ] as const) {
      const file = await sharp(drawNoise(width, height, 7), { raw: { width, height, channels: 3 } })
        .withMetadata({ orientation })
        .jpeg()
        .toBuffer();
      const { data, info } = await sharp(file, { ignoreIcc: true })
        .autoOrient()
        .raw()
        .toBuffer({ resolveWithObject: true });
      const source = { data, width: info.width, height: info.height, channels: 3 } as const;
      const whole = { width: info.width, height: info.height, channels: 3, resize: 'pillow-nearest' } as const;
      for (const rule of [
        whole,
        { ...whole, width: 16, height: 20, resize: 'pillow-bilinear' },
        { ...whole, width: 16, height: 20, shortSide: 24, resize: 'opencv-linear' },
        { ...whole, width: 10, height: 10, cropFraction: 0.5, channels: 1, resize: 'tensorflow-bilinear' },
      ] as const) {
        const ours = preparePlainJpeg(file, { ignoreIcc: true, rule });
        expect(ours, `${width} x ${height}`).toBeDefined();
        expect(Buffer.compare(ours!, fitPixels(source, rule)), `${width} x ${height}: ${JSON.stringify(rule)}`).toBe(0);
      }
    }
  });

  test('a part of an image is as in the whole image', () => {
    const names = ['420-95x61.jpg', '422-95x61.jpg', '444-95x61.jpg', 'gray-95x61.jpg', '420-restarts-33x50.jpg'];
    const number = fc.nat(1_000);
    fc.assert(
      fc.property(fc.constantFrom(...names), number, number, number, number, (name, ...numbers) => {
        const file = readSample(name);
        const { data, width, height, channels } = decode(file)!;
        const whole = Uint8Array.from(data);
        const [left, top] = [numbers[0]! % width, numbers[1]! % height];
        const area = {
          left,
          top,
          width: 1 + (numbers[2]! % (width - left)),
          height: 1 + (numbers[3]! % (height - top)),
        };
        const part = decode(file, area)!.data;
        for (let y = top; y < top + area.height; y++) {
          const [from, end] = [(y * width + left) * channels, (y * width + left + area.width) * channels];
          expect(Buffer.compare(part.subarray(from, end), whole.subarray(from, end))).toBe(0);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('damage', () => {
  /** It is taken here only if the general decoder takes it, too, with the same pixels. */
  async function expectAgreement(file: Buffer): Promise<void> {
    // A server inspects each file first.
    try {
      inspectImage(file);
    } catch {
      return;
    }
    const pixels = decode(file);
    if (!pixels) return;
    const copy = Uint8Array.from(pixels.data);
    const expected = await decodeBySharp(file).catch((error) => {
      if (isHarmless(error)) return decodeBySharp(file, 'error');
      throw error;
    });
    expect(Buffer.compare(copy, expected)).toBe(0);
  }

  test('of any byte', async () => {
    const names = Object.keys(sha256).filter((name) => /33x50|17x16/.test(name));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        async (name, changes) => {
          const file = readSample(name);
          for (const [at, value] of changes) file[2 + (at % (file.length - 2))] = value;
          await expectAgreement(file);
        },
      ),
      { numRuns: 1_500 },
    );
  });

  test('data that ends early, or continues, is left to the general decoder', () => {
    const file = readSample('420-95x61.jpg');
    const end = file.length - 2;
    for (const cut of [1, 2, 10, 200]) {
      expect(decode(Buffer.concat([file.subarray(0, end - cut), file.subarray(end)]))).toBeUndefined();
    }
    expect(
      decode(Buffer.concat([file.subarray(0, end), Buffer.from([0x12, 0x34]), file.subarray(end)])),
    ).toBeUndefined();
    expect(decode(file.subarray(0, end))).toBeUndefined();
    expect(decode(Buffer.concat([file, Buffer.from('something behind the image')]))).toBeDefined();
  });

  test('restart markers that are missing or out of order are left to the general decoder', () => {
    const file = readSample('420-restarts-95x61.jpg');
    const first = file.indexOf(Buffer.from([0xff, 0xd0]));
    const swapped = Buffer.from(file);
    swapped[first + 1] = 0xd1;
    expect(decode(swapped)).toBeUndefined();
    expect(decode(Buffer.concat([file.subarray(0, first), file.subarray(first + 2)]))).toBeUndefined();
  });
});

describe('what is not ordinary is left to the general decoder', () => {
  const image = () => sharp(drawNoise(64, 48, 1), { raw: { width: 64, height: 48, channels: 3 } });
  const files: Record<string, () => Promise<Buffer>> = {
    progressive: () => image().jpeg({ progressive: true }).toBuffer(),
    CMYK: () => image().toColourspace('cmyk').jpeg().toBuffer(),
    'gray with impossible sampling factors': async () => {
      const file = readSample('gray-17x16.jpg');
      const at = file.indexOf(Buffer.from([0xff, 0xc0]));
      file[at + 11] = 0x35;
      return file;
    },
    'of two orientations': async () => {
      const file = await image().withMetadata({ orientation: 6 }).jpeg().toBuffer();
      const at = file.indexOf(Buffer.from([0xff, 0xe1]));
      const end = at + 2 + file.readUInt16BE(at + 2);
      return Buffer.concat([file.subarray(0, end), file.subarray(at)]);
    },
    'of an orientation that does not exist': async () => {
      const file = await image().withMetadata({ orientation: 6 }).jpeg().toBuffer();
      const at = file.indexOf(Buffer.from([0x12, 0x01, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x06]));
      expect(at).toBeGreaterThan(0);
      file[at + 8] = 9;
      return file;
    },
  };
  test.each(Object.entries(files))('%s', async (_name, make) => {
    expect(decode(await make())).toBeUndefined();
  });

  test('upright by its metadata, it is ordinary', async () => {
    expect(decode(await image().withMetadata({ orientation: 1 }).jpeg().toBuffer())).toBeDefined();
  });
});

function drawNoise(width: number, height: number, seed: number): Buffer {
  let state = seed | 1;
  const pixels = Buffer.alloc(width * height * 3);
  for (let at = 0; at < pixels.length; at++) {
    state = Math.imul(state, 1_103_515_245) + 12_345;
    // Smooth on the left, rough on the right.
    pixels[at] = (at / 3) % width < width / 2 ? 128 + 100 * Math.sin(at / 90) : state >>> 16;
  }
  return pixels;
}
