/** Whole files of unusual kinds: decoded if the decoder can, otherwise UNSUPPORTED_FORMAT that names the feature. CORRUPT is for damage. */
import type { ServedModel } from '@inferql/queue/contract';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { wrapTiff } from '../decode/formats/wrap-tiff.ts';
import { prepareImage } from '../preprocess.ts';
import { writeOldJpegTiff } from './old-jpeg-tiff.fixture.ts';

const INPUT: ServedModel['input'] = { width: 16, height: 12, channels: 3, kernel: 'linear' };
const prepare = (file: Buffer) => prepareImage(file, INPUT, 64_000_000);
const openSample = () => sharp('models/samples/rocket.jpg').resize(160, 120).removeAlpha();

const TAG = { compression: 259, photometric: 262, samples: 277, extra: 338 };

/** The offset of a tag's entry in a file of `wrapTiff`. */
function entryOf(tiff: Buffer, tag: number): number {
  for (let at = 10; at < 10 + 12 * tiff.readUInt16LE(8); at += 12) if (tiff.readUInt16LE(at) === tag) return at;
  throw new Error(`no tag ${tag}`);
}

async function writeTiff(channels: 3 | 4, changes: Record<number, number>): Promise<Buffer> {
  const image = channels === 4 ? openSample().ensureAlpha() : openSample();
  const tiff = wrapTiff({ data: await image.raw().toBuffer(), width: 160, height: 120, channels }, Buffer.from('none'));
  for (const [tag, value] of Object.entries(changes)) tiff.writeUInt16LE(value, entryOf(tiff, Number(tag)) + 8);
  return tiff;
}

async function writeJpeg(change: (file: Buffer, frameAt: number) => Buffer): Promise<Buffer> {
  const file = await openSample().jpeg().toBuffer();
  return change(file, file.indexOf(Buffer.from([0xff, 0xc0])));
}

describe('is UNSUPPORTED_FORMAT, and the message names it:', () => {
  test.each<[string, () => Promise<Buffer>]>([
    ['Zstandard', () => writeTiff(3, { [TAG.compression]: 50_000 })],
    ['JPEG 2000', () => writeTiff(3, { [TAG.compression]: 34_712 })],
    ['WebP', () => writeTiff(3, { [TAG.compression]: 50_001 })],
    ['LZMA', () => writeTiff(3, { [TAG.compression]: 34_925 })],
    ['Lab', () => writeTiff(3, { [TAG.photometric]: 8 })],
    ['raw', () => writeTiff(3, { [TAG.photometric]: 32_803 })],
    [
      '12 bits',
      () =>
        writeJpeg((file, frameAt) => {
          file[frameAt + 4] = 12;
          return file;
        }),
    ],
    [
      'lossless JPEG',
      () =>
        writeJpeg((file, frameAt) => {
          file[frameAt + 1] = 0xc3;
          return file;
        }),
    ],
    [
      'CgBI',
      async () => {
        const png = await openSample().png().toBuffer();
        const chunk = Buffer.from('\0\0\0\x04CgBI\x50\0\x20\x02\0\0\0\0', 'latin1');
        return Buffer.concat([png.subarray(0, 8), chunk, png.subarray(8)]);
      },
    ],
  ])('%s', async (feature, write) => {
    const message = expect.stringContaining(feature);
    await expect(prepare(await write())).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT', message });
  });
});

describe('is decoded like the plain image:', () => {
  test.each<[string, () => Promise<Buffer>]>([
    [
      'an AVIF sequence',
      async () => {
        const avif = await openSample().avif({ effort: 0, quality: 90 }).toBuffer();
        avif.write('avis', 8, 'latin1');
        return avif;
      },
    ],
    [
      'a TIFF with two alphas',
      async () => {
        const tiff = await writeTiff(4, { [TAG.extra]: 2 });
        // A list of two, after the pixels; the second channel is the blue one's place moved on.
        const pixels = await openSample().ensureAlpha().raw().toBuffer();
        const five = Buffer.alloc((pixels.length / 4) * 5, 255);
        for (let at = 0, to = 0; at < pixels.length; at += 4, to += 5) pixels.copy(five, to, at, at + 4);
        const listAt = tiff.length;
        const bits = Buffer.from([8, 0, 8, 0, 8, 0, 8, 0, 8, 0]);
        const file = Buffer.concat([tiff, bits, five]);
        file.writeUInt32LE(5, entryOf(file, 258) + 4);
        file.writeUInt32LE(listAt, entryOf(file, 258) + 8);
        file.writeUInt32LE(listAt + bits.length, entryOf(file, 273) + 8);
        file.writeUInt16LE(5, entryOf(file, TAG.samples) + 8);
        file.writeUInt32LE(five.length, entryOf(file, 279) + 8);
        file.writeUInt32LE(2, entryOf(file, TAG.extra) + 4);
        file.writeUInt32LE(0x0002_0002, entryOf(file, TAG.extra) + 8);
        return file;
      },
    ],
    ['old-style JPEG in TIFF', async () => writeOldJpegTiff(await openSample().jpeg({ quality: 95 }).toBuffer(), 3)],
    [
      'a JPEG without end marker but with a trailer',
      () => writeJpeg((file) => Buffer.concat([file.subarray(0, -2), Buffer.from('SEFHe\0\0\0trailer of a phone')])),
    ],
  ])('%s', async (_name, write) => {
    const [decoded, plain] = [await prepare(await write()), await prepare(await openSample().png().toBuffer())];
    let sum = 0;
    for (let i = 0; i < plain.length; i++) sum += Math.abs(plain[i]! - decoded[i]!);
    expect(sum / plain.length).toBeLessThan(3);
  });

  test('an AVIF above 35 megapixels', async () => {
    const image = sharp({ create: { width: 6_000, height: 6_000, channels: 3, background: '#ff0000' } });
    const pixels = await prepare(await image.avif({ effort: 0, quality: 30, chromaSubsampling: '4:2:0' }).toBuffer());
    expect(pixels[0]).toBeGreaterThan(240);
    expect(pixels[1]).toBeLessThan(20);
  });
});
