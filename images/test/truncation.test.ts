import type { ServedModel } from '@inferql/queue/contract';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { prepareImage } from '../preprocess.ts';

const CROPPED: ServedModel['input'] = { width: 224, height: 224, channels: 3, shortSide: 256, kernel: 'linear' };
const STRETCHED: ServedModel['input'] = { width: 32, height: 32, channels: 3, kernel: 'linear' };

const prepare = (file: Buffer, input = CROPPED) => prepareImage(file, input, 64_000_000);

let frames: Buffer[];
beforeAll(async () => {
  // Portrait, so that much of it is below the crop.
  const image = sharp('models/samples/rocket.jpg').resize(480, 800);
  frames = [await image.clone().png().toBuffer(), await image.clone().negate().png().toBuffer()];
});

const encodings: Record<string, (image: Sharp, frames: Sharp) => Sharp> = {
  jpeg: (image) => image.jpeg(),
  'large jpeg': (image) => image.resize(2_000).jpeg(),
  'jpeg with a thumbnail': (image) => image.jpeg(),
  'progressive jpeg': (image) => image.jpeg({ progressive: true }),
  'CMYK jpeg': (image) => image.toColourspace('cmyk').jpeg(),
  png: (image) => image.png(),
  'interlaced png': (image) => image.png({ progressive: true }),
  'palette png': (image) => image.png({ palette: true }),
  gif: (image) => image.gif(),
  'animated gif': (_image, animated) => animated.gif(),
  webp: (image) => image.webp(),
  'animated webp': (_image, animated) => animated.webp(),
  avif: (image) => image.avif({ effort: 0 }),
  tiff: (image) => image.tiff({ compression: 'none' }),
  'tiled tiff': (image) => image.tiff({ compression: 'lzw', tile: true }),
  bigtiff: (image) => image.tiff({ compression: 'lzw', bigtiff: true }),
  'tiff that begins with its directory': (image) => image,
};

async function encode(name: string): Promise<Buffer> {
  const file = await encodings[name]!(sharp(frames[0]!), sharp(frames, { join: { animated: true } })).toBuffer();
  if (name === 'jpeg with a thumbnail') return addThumbnail(file);
  if (name === 'tiff that begins with its directory') return writeTiff(await sharp(file).raw().toBuffer(), 480, 800);
  return file;
}

describe.each(Object.keys(encodings))('%s', (name) => {
  let file: Buffer;
  beforeAll(async () => {
    file = await encode(name);
  });

  test('a complete file is accepted, also with something behind its end', async () => {
    await prepare(file);
    await prepare(Buffer.concat([file, Buffer.alloc(100)]));
  });

  test.each([0.5, 0.8, 0.9, 0.99, 1])('cut after %d of its bytes it is CORRUPT', async (part) => {
    const cut = file.subarray(0, Math.min(Math.floor(file.length * part), file.length - 1));
    for (const input of [CROPPED, STRETCHED]) {
      await expect(prepare(cut, input)).rejects.toMatchObject({ code: 'CORRUPT' });
    }
  });
});

/** In a separate segment, whose end is not the end of the image. */
function addThumbnail(jpeg: Buffer): Buffer {
  const segment = Buffer.from([0xff, 0xe5, 0, 8, 0xff, 0xd8, 0xff, 0xda, 0xff, 0xd9]);
  return Buffer.concat([jpeg.subarray(0, 2), segment, jpeg.subarray(2)]);
}

/** Uncompressed strips of 100 rows after the directory, as some programs write it. */
function writeTiff(pixels: Buffer, width: number, height: number): Buffer {
  const [strips, stripBytes] = [height / 100, width * 3 * 100];
  const listsAt = 8 + 2 + 9 * 12 + 4;
  const pixelsAt = listsAt + 6 + 8 * strips;
  const entries = [
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 3, listsAt],
    [259, 3, 1, 1],
    [262, 3, 1, 2],
    [273, 4, strips, listsAt + 6],
    [277, 3, 1, 3],
    [278, 4, 1, 100],
    [279, 4, strips, listsAt + 6 + 4 * strips],
  ] as const;
  const head = Buffer.alloc(pixelsAt);
  head.write('MM\0*', 'latin1');
  head.writeUInt32BE(8, 4);
  head.writeUInt16BE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    head.writeUInt16BE(tag, at);
    head.writeUInt16BE(type, at + 2);
    head.writeUInt32BE(count, at + 4);
    if (type === 3 && count === 1) head.writeUInt16BE(value, at + 8);
    else head.writeUInt32BE(value, at + 8);
  });
  for (let i = 0; i < 3; i++) head.writeUInt16BE(8, listsAt + 2 * i);
  for (let strip = 0; strip < strips; strip++) {
    head.writeUInt32BE(pixelsAt + strip * stripBytes, listsAt + 6 + 4 * strip);
    head.writeUInt32BE(stripBytes, listsAt + 6 + 4 * (strips + strip));
  }
  return Buffer.concat([head, pixels]);
}
