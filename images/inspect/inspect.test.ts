import sharp, { type Sharp } from 'sharp';
import { describe, expect, test } from 'vitest';
import { chooseDecodePlace } from '../decode/decode-place.ts';
import { writeManyScans } from '../decode/hostile-jpeg.fixture.ts';
import { writeOldJpegTiff } from '../test/old-jpeg-tiff.fixture.ts';
import { inspectImage } from './inspect.ts';
import { checkLimits, MAX_COST_MS } from './refusals.ts';
import { openTiffDirectory } from './tiff-directory.ts';

const LIMITS = { maxPixels: 64e6, maxCostMs: MAX_COST_MS, maxMemoryBytes: 2e9 };
const check = (file: Buffer) => checkLimits(inspectImage(file), LIMITS);
const code = (wanted: string, words = /./) => ({ code: wanted, message: expect.stringMatching(words) });

/** @param count @param value of the tag, which the file has */
function writeEntry(tiff: Buffer, tag: number, count: number, value: number): void {
  const { offset } = openTiffDirectory(tiff).entries.find((entry) => entry.tag === tag)!;
  tiff.writeUInt32LE(count, offset + 4);
  tiff.writeUInt32LE(value, offset + 8);
}

/** A gray JPEG as the first strip of a TIFF. */
function writeJpegTiff(jpeg: Buffer, height?: number): Buffer {
  const tiff = writeOldJpegTiff(jpeg, 1);
  writeEntry(tiff, 259, 1, 7);
  if (height !== undefined) writeEntry(tiff, 257, 1, height);
  return tiff;
}

describe('cost is read from the file', () => {
  test('scans of a progressive JPEG', () => {
    expect(() => check(writeManyScans({ side: 8_000, coefficients: 63, bits: 14 }))).toThrow(
      expect.objectContaining(code('TOO_COMPLEX', /seconds of CPU time/)),
    );
    expect(() => check(writeManyScans({ side: 512, coefficients: 5, bits: 3 }))).not.toThrow();
  });

  test('scans of a JPEG inside a TIFF count as those of a JPEG file', () => {
    const jpeg = writeManyScans({ side: 512, coefficients: 63, bits: 13 });
    const [inside, alone] = [writeOldJpegTiff(jpeg, 1), jpeg].map((file) => ({ file, facts: inspectImage(file) }));
    expect(inside!.facts.costMs).toBe(alone!.facts.costMs);
    expect(inside!.facts.memoryBytes).toBe(alone!.facts.memoryBytes);
    for (const { file, facts } of [inside!, alone!]) expect(chooseDecodePlace(facts, file.length)).toBe('medium');
    const endless = writeOldJpegTiff(writeManyScans({ side: 8_000, coefficients: 63, bits: 14 }), 1);
    expect(() => check(endless)).toThrow(expect.objectContaining(code('TOO_COMPLEX', /seconds of CPU time/)));
  });

  test('scans of JPEG strips in a TIFF count as those of a JPEG file', () => {
    const jpeg = writeManyScans({ side: 4_096, coefficients: 63, bits: 1 });
    const tiff = writeJpegTiff(jpeg);
    const facts = inspectImage(tiff);
    expect(facts.costMs).toBe(inspectImage(jpeg).costMs);
    expect(chooseDecodePlace(facts, tiff.length)).toBe('isolated');
    const endless = writeJpegTiff(writeManyScans({ side: 8_000, coefficients: 63, bits: 14 }));
    expect(() => check(endless)).toThrow(expect.objectContaining(code('TOO_COMPLEX', /seconds of CPU time/)));
  });

  test('JPEG strips in a TIFF that overlap are not all read', () => {
    const jpeg = writeManyScans({ side: 64, coefficients: 63, bits: 14 });
    const strips = 1_000;
    const tiff = writeJpegTiff(jpeg, 64 * strips);
    const [offsets, lengths] = [tiff.length, tiff.length + 4 * strips];
    const lists = Buffer.alloc(8 * strips);
    for (let i = 0; i < strips; i++) {
      lists.writeUInt32LE(lengths + 4 * strips + i, 4 * i);
      lists.writeUInt32LE(jpeg.length, 4 * (strips + i));
    }
    writeEntry(tiff, 273, strips, offsets);
    writeEntry(tiff, 279, strips, lengths);
    const file = Buffer.concat([tiff, lists, jpeg, Buffer.alloc(strips)]);
    // The second one does not begin with a marker, which readers skip.
    expect(() => check(file)).toThrow(expect.objectContaining(code('TOO_COMPLEX', /overlap/)));
  });

  test('a TIFF of another size than the JPEG inside it, or whose JPEG is cut, is CORRUPT', () => {
    const tiff = writeOldJpegTiff(writeManyScans({ side: 64, coefficients: 1, bits: 1 }), 1);
    expect(() => check(tiff)).not.toThrow();
    const widthAt = 10 + 8;
    expect(tiff.readUInt32LE(widthAt)).toBe(64);
    tiff.writeUInt32LE(32, widthAt);
    expect(() => check(tiff)).toThrow(expect.objectContaining(code('CORRUPT')));
    const cut = writeOldJpegTiff(writeManyScans({ side: 64, coefficients: 1, bits: 1 }).subarray(0, -2), 1);
    expect(() => check(cut)).toThrow(expect.objectContaining(code('CORRUPT')));
  });

  test('a plain JPEG costs less than a progressive one, an interlaced PNG more than a plain one', async () => {
    const image = sharp('models/samples/rocket.jpg').resize(800);
    const cost = async (encoded: Sharp) => inspectImage(await encoded.toBuffer()).costMs;
    expect(await cost(image.clone().jpeg())).toBeLessThan(
      (await cost(image.clone().jpeg({ progressive: true }))) / 1.5,
    );
    expect(await cost(image.clone().png())).toBeLessThan((await cost(image.clone().png({ progressive: true }))) / 2);
  });

  test('chunks of a PNG, and data that is longer than its pixels', async () => {
    const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#777' } })
      .png()
      .toBuffer();
    const text = Buffer.from('\0\0\0\x01tEXtx\0\0\0\0', 'latin1');
    const many = Buffer.concat([png.subarray(0, 33), ...Array<Buffer>(60_000).fill(text), png.subarray(33)]);
    expect(() => check(many)).toThrow(expect.objectContaining(code('TOO_COMPLEX', /chunks/)));
    const data = Buffer.alloc(200_012);
    data.writeUInt32BE(200_000);
    data.write('IDAT', 4, 'latin1');
    expect(() => check(Buffer.concat([png.subarray(0, 33), data, png.subarray(33)]))).toThrow(
      expect.objectContaining(code('TOO_COMPLEX')),
    );
  });

  test('a WebP animation whose first frame has two sizes is CORRUPT', async () => {
    const frames = ['#f00', '#00f'].map((background) => ({
      create: { width: 40, height: 30, channels: 3 as const, background },
    }));
    const pages = await Promise.all(frames.map((frame) => sharp(frame).png().toBuffer()));
    const webp = await sharp(pages, { join: { animated: true } })
      .webp()
      .toBuffer();
    expect(inspectImage(webp)).toMatchObject({ width: 40, height: 30 });
    const at = webp.indexOf('ANMF') + 8 + 6;
    expect(webp.readUIntLE(at, 3)).toBe(39);
    webp.writeUIntLE(29, at, 3);
    expect(() => check(webp)).toThrow(expect.objectContaining(code('CORRUPT')));
  });

  test('blocks of a GIF', () => {
    const frame = Buffer.from([0x2c, 0, 0, 0, 0, 2, 0, 2, 0, 0, 2, 2, 0x4c, 1, 0]);
    const head = Buffer.from('GIF89a\x02\0\x02\0\0\0\0', 'latin1');
    const file = Buffer.concat([head, ...Array<Buffer>(300_000).fill(frame), Buffer.from(';')]);
    expect(() => check(file)).toThrow(expect.objectContaining(code('TOO_COMPLEX', /blocks/)));
  });

  test('lists of a TIFF are read as far as the image needs them', async () => {
    const tiff = await sharp('models/samples/rocket.jpg').resize(64, 64).tiff({ compression: 'lzw' }).toBuffer();
    const entries = tiff.readUInt16LE(tiff.readUInt32LE(4));
    const long = Buffer.concat([tiff, Buffer.alloc(4_000_000)]);
    for (let i = 0; i < entries; i++) {
      const at = tiff.readUInt32LE(4) + 2 + 12 * i;
      // Offsets and lengths of strips become lists of a million entries, of which the first one is right.
      if (![273, 279].includes(tiff.readUInt16LE(at))) continue;
      if (tiff.readUInt32LE(at + 4) > 1) return;
      long.writeUInt32LE(1_000_000, at + 4);
      long.writeUInt32LE(tiff.readUInt32LE(at + 8), tiff.length);
      long.writeUInt32LE(tiff.length, at + 8);
    }
    // Of the processor: a busy machine may stop a process for longer.
    const began = process.cpuUsage();
    inspectImage(long);
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1_000).toBeLessThan(200);
  });

  test('the refusal contains the size of the image and the limit', async () => {
    const png = await sharp({ create: { width: 300, height: 200, channels: 3, background: '#777' } })
      .png()
      .toBuffer();
    expect(() => checkLimits(inspectImage(png), { ...LIMITS, maxPixels: 50_000 })).toThrow(
      expect.objectContaining(code('TOO_MANY_PIXELS', /300 x 200.*0\.1 megapixels/)),
    );
  });
});
