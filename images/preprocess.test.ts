import { crc32 } from 'node:zlib';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { prepareImage } from './preprocess.ts';

const MAX_PIXELS = 64_000_000;
const CROPPED: ServedModel['input'] = { width: 224, height: 224, channels: 3, shortSide: 256, kernel: 'linear' };
const STRETCHED: ServedModel['input'] = { width: 32, height: 24, channels: 3, kernel: 'linear' };

/** Left half red, right half blue, with a green band at the bottom. */
function drawFlag(width = 400, height = 300): Sharp {
  const svg = `<svg width="${width}" height="${height}"><rect width="50%" height="100%" fill="#f00"/><rect x="50%" width="50%" height="100%" fill="#00f"/><rect y="75%" width="100%" height="25%" fill="#0f0"/></svg>`;
  return sharp(Buffer.from(svg)).removeAlpha();
}

function pixelAt(data: Buffer, input: ServedModel['input'], x: number, y: number): number[] {
  const at = (Math.floor(y * input.height) * input.width + Math.floor(x * input.width)) * input.channels;
  return [...data.subarray(at, at + input.channels)];
}

function expectNear(actual: number[], expected: number[], tolerance = 12) {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i]! - value), `${actual} is not near ${expected}`).toBeLessThanOrEqual(tolerance);
}

async function refusalOf(file: Buffer, input = CROPPED): Promise<string> {
  try {
    await prepareImage(file, input, MAX_PIXELS);
  } catch (error) {
    if (error instanceof InferqlError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('formats', () => {
  const encodings: Record<string, (image: Sharp) => Sharp> = {
    jpeg: (image) => image.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
    'progressive jpeg': (image) => image.jpeg({ quality: 95, progressive: true }),
    png: (image) => image.png(),
    'interlaced png': (image) => image.png({ progressive: true }),
    'palette png': (image) => image.png({ palette: true }),
    '16-bit png': (image) => image.toColourspace('rgb16').png(),
    webp: (image) => image.webp({ quality: 95 }),
    'lossless webp': (image) => image.webp({ lossless: true }),
    gif: (image) => image.gif(),
    avif: (image) => image.avif({ quality: 90 }),
    tiff: (image) => image.tiff({ compression: 'lzw' }),
  };
  test.each(Object.entries(encodings))('%s becomes the model input, cropped and stretched', async (_name, encode) => {
    const file = await encode(drawFlag()).toBuffer();
    for (const input of [CROPPED, STRETCHED]) {
      const data = await prepareImage(file, input, MAX_PIXELS);
      expect(data.length).toBe(input.width * input.height * input.channels);
      expectNear(pixelAt(data, input, 0.2, 0.3), [255, 0, 0]);
      expectNear(pixelAt(data, input, 0.8, 0.3), [0, 0, 255]);
      expectNear(pixelAt(data, input, 0.5, 0.95), [0, 255, 0]);
    }
  });

  test('the first frame of an animated GIF is taken', async () => {
    const frames = await Promise.all(
      ['#ff0000', '#00ff00'].map((background) =>
        sharp({ create: { width: 64, height: 64, channels: 3, background } })
          .png()
          .toBuffer(),
      ),
    );
    const file = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    expect((await sharp(file).metadata()).pages).toBe(2);
    expectNear(pixelAt(await prepareImage(file, CROPPED, MAX_PIXELS), CROPPED, 0.5, 0.5), [255, 0, 0]);
  });
});

describe('a model of four channels', () => {
  const input: ServedModel['input'] = { ...STRETCHED, channels: 4 };

  test('gets transparency as its fourth, of color and grayscale images', async () => {
    const half = { r: 255, g: 0, b: 0, alpha: 0.5 };
    const red = sharp({ create: { width: 64, height: 48, channels: 4, background: half } });
    const data = await prepareImage(await red.png().toBuffer(), input, MAX_PIXELS);
    expect(data.length).toBe(32 * 24 * 4);
    expectNear(pixelAt(data, input, 0.5, 0.5), [255, 0, 0, 128], 2);
    const opaque = await prepareImage(await drawFlag().jpeg().toBuffer(), input, MAX_PIXELS);
    expectNear(pixelAt(opaque, input, 0.8, 0.3), [0, 0, 255, 255]);
    const pixels = Buffer.from(Array.from({ length: 64 * 48 }, () => [90, 40]).flat());
    const gray = sharp(pixels, { raw: { width: 64, height: 48, channels: 2 } }).toColourspace('b-w');
    expectNear(
      pixelAt(await prepareImage(await gray.png().toBuffer(), input, MAX_PIXELS), input, 0.5, 0.5),
      [90, 90, 90, 40],
      2,
    );
  });
});

describe('what photos carry', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('EXIF orientation %i is turned upright', async (orientation) => {
    const upright = await prepareImage(await drawFlag().png().toBuffer(), CROPPED, MAX_PIXELS);
    const turned = await turnAgainst(orientation);
    const data = await prepareImage(turned, CROPPED, MAX_PIXELS);
    for (const [x, y] of [
      [0.2, 0.3],
      [0.8, 0.3],
      [0.5, 0.95],
    ] as const) {
      expectNear(pixelAt(data, CROPPED, x, y), pixelAt(upright, CROPPED, x, y));
    }
  });

  test('colors of a wide-gamut profile are converted to sRGB', async () => {
    const background = { r: 200, g: 100, b: 50 };
    const file = await sharp({ create: { width: 64, height: 64, channels: 3, background } })
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const raw = await sharp(file).metadata();
    expect(raw.icc).toBeDefined();
    expectNear(pixelAt(await prepareImage(file, CROPPED, MAX_PIXELS), CROPPED, 0.5, 0.5), [200, 100, 50], 3);
  });

  test('a second image behind a JPEG, as phones append for HDR displays, is ignored', async () => {
    const photo = await drawFlag().jpeg().toBuffer();
    const second = await sharp({ create: { width: 100, height: 75, channels: 3, background: '#fff' } })
      .jpeg()
      .toBuffer();
    const both = await prepareImage(Buffer.concat([photo, second]), CROPPED, MAX_PIXELS);
    expect(both).toEqual(await prepareImage(photo, CROPPED, MAX_PIXELS));
  });

  test('transparency is drawn on white', async () => {
    const background = { r: 255, g: 0, b: 0, alpha: 0.5 };
    const file = await sharp({ create: { width: 64, height: 64, channels: 4, background } })
      .png()
      .toBuffer();
    expectNear(pixelAt(await prepareImage(file, CROPPED, MAX_PIXELS), CROPPED, 0.5, 0.5), [255, 128, 128], 3);
  });

  test.each(['jpeg', 'png'] as const)('a grayscale %s becomes three equal channels', async (format) => {
    const file = await drawFlag().toColourspace('b-w').toFormat(format).toBuffer();
    expect((await sharp(file).metadata()).channels).toBe(1);
    const [r, g, b] = pixelAt(await prepareImage(file, CROPPED, MAX_PIXELS), CROPPED, 0.2, 0.3);
    expect([g, b]).toEqual([r, r]);
  });

  test('grayscale with transparency is drawn on white', async () => {
    const file = await sharp(Buffer.from([0, 0]), { raw: { width: 1, height: 1, channels: 2 } })
      .resize(64, 64, { kernel: 'nearest' })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect((await sharp(file).metadata()).channels).toBe(2);
    expectNear(pixelAt(await prepareImage(file, CROPPED, MAX_PIXELS), CROPPED, 0.5, 0.5), [255, 255, 255]);
  });

  test.each(['jpeg', 'tiff'] as const)('a CMYK %s is converted', async (format) => {
    const file = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#d02020' } })
      .toColourspace('cmyk')
      .toFormat(format)
      .toBuffer();
    expect((await sharp(file).metadata()).space).toBe('cmyk');
    const [r, g, b] = pixelAt(await prepareImage(file, CROPPED, MAX_PIXELS), CROPPED, 0.5, 0.5);
    expect(r).toBeGreaterThan(150);
    expect(Math.max(g!, b!)).toBeLessThan(90);
  });

  test('a model of one channel gets grayscale', async () => {
    const input = { ...CROPPED, channels: 1 as const };
    const color = await drawFlag().png().toBuffer();
    const gray = await sharp(Buffer.alloc(64 * 64, 76), { raw: { width: 64, height: 64, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    for (const file of [color, gray]) {
      const data = await prepareImage(file, input, MAX_PIXELS);
      expect(data.length).toBe(224 * 224);
      expectNear(pixelAt(data, input, 0.2, 0.3), [76], 3);
    }
  });

  test.each([
    [1, 1],
    [1, 4000],
    [20_000, 3],
    [300, 5000],
  ])('an image of %i x %i pixels is accepted', async (width, height) => {
    const file = await sharp({ create: { width, height, channels: 3, background: '#123456' } })
      .png()
      .toBuffer();
    const data = await prepareImage(file, CROPPED, MAX_PIXELS);
    expectNear(pixelAt(data, CROPPED, 0.5, 0.5), [0x12, 0x34, 0x56]);
  });
});

describe('refusals', () => {
  let jpeg: Buffer;
  beforeAll(async () => {
    const noise = Buffer.from(Array.from({ length: 300 * 200 * 3 }, (_, i) => (i * 2_654_435_761) >>> 24));
    jpeg = await sharp(noise, { raw: { width: 300, height: 200, channels: 3 } })
      .jpeg()
      .toBuffer();
  });

  test('an empty file is EMPTY', async () => expect(await refusalOf(Buffer.alloc(0))).toBe('EMPTY'));

  test.each([
    ['text', Buffer.from('Hello, this is a text file. '.repeat(50))],
    ['HTML', Buffer.from('<!doctype html><html><body><img src="x.jpg"></body></html>')],
    [
      'SVG',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'),
    ],
    ['SVG after an XML declaration', Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['PDF', Buffer.from('%PDF-1.7\n1 0 obj\n')],
    ['random bytes', Buffer.from(Array.from({ length: 5000 }, (_, i) => ((i + 7) * 2_654_435_761) >>> 24))],
    ['a single byte', Buffer.from([0xff])],
    ['HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')],
  ])('%s is UNSUPPORTED_FORMAT', async (_name, file) => expect(await refusalOf(file)).toBe('UNSUPPORTED_FORMAT'));

  test.each([0.02, 0.3, 0.6, 0.9])('a JPEG cut after %d of its bytes is CORRUPT', async (part) => {
    expect(await refusalOf(jpeg.subarray(0, Math.floor(jpeg.length * part)))).toBe('CORRUPT');
  });

  test.each(['png', 'webp', 'gif', 'avif', 'tiff'] as const)('a %s cut in the middle is CORRUPT', async (format) => {
    const file = await sharp(jpeg).toFormat(format).toBuffer();
    expect(await refusalOf(file.subarray(0, file.length >> 1))).toBe('CORRUPT');
  });

  test('a signature with nothing behind it is CORRUPT', async () => {
    expect(await refusalOf(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'))).toBe('CORRUPT');
    expect(await refusalOf(Buffer.from('GIF89a'))).toBe('CORRUPT');
    expect(await refusalOf(Buffer.from('\0\0\0\x18ftypavif', 'latin1'))).toBe('CORRUPT');
  });

  test('an image of 12000 x 12000 is TOO_MANY_PIXELS from its header: there is nothing to decode behind it', async () => {
    const png = await sharp(jpeg).png().toBuffer();
    const start = png.indexOf('IHDR');
    png.writeUInt32BE(12_000, start + 4);
    png.writeUInt32BE(12_000, start + 8);
    png.writeUInt32BE(crc32(png.subarray(start, start + 17)), start + 17);
    expect(await refusalOf(png.subarray(0, start + 40))).toBe('TOO_MANY_PIXELS');

    const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0, 0, 17, 8]));
    const large = Buffer.from(jpeg);
    large.writeUInt16BE(12_000, frame + 5);
    large.writeUInt16BE(12_000, frame + 7);
    expect(await refusalOf(large.subarray(0, large.indexOf(Buffer.from([0xff, 0xda])) + 100))).toBe('TOO_MANY_PIXELS');
  });
});

/** The flag, stored so that the EXIF orientation turns it upright again. */
async function turnAgainst(orientation: number): Promise<Buffer> {
  const flag = await drawFlag().png().toBuffer();
  const turns: Record<number, (image: Sharp) => Sharp> = {
    1: (image) => image,
    2: (image) => image.flop(),
    3: (image) => image.rotate(180),
    4: (image) => image.flip(),
    5: (image) => image.rotate(270).flop(),
    6: (image) => image.rotate(270),
    7: (image) => image.rotate(90).flop(),
    8: (image) => image.rotate(90),
  };
  const stored = await turns[orientation]!(sharp(flag)).png().toBuffer();
  return sharp(stored)
    .withExif({ IFD0: { Orientation: String(orientation) } })
    .withMetadata({ orientation })
    .jpeg({ quality: 98, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
