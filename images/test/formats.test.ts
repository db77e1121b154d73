import { makePngChunk } from '@inferql/testing/data/test-images';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { inspectImage } from '../inspect/inspect.ts';
import { BLUE, corners, prepare, RED, WHITE } from './tiny-input.fixture.ts';

function insertChunk(png: Buffer, name: string, body: Buffer): Buffer {
  return Buffer.concat([png.subarray(0, 33), makePngChunk(name, body), png.subarray(33)]);
}

describe('BMP', () => {
  /** 8 x 4 pixels, bottom row first: left red, right blue, but the bottom row white. */
  function writeBmp({ bits, topDown = false }: { bits: 8 | 24 | 32; topDown?: boolean }): Buffer {
    const palette = bits === 8 ? 12 : 0;
    const header = Buffer.alloc(54 + palette);
    header.write('BM', 'latin1');
    header.writeUInt32LE(54 + palette, 10);
    header.writeUInt32LE(40, 14);
    header.writeInt32LE(8, 18);
    header.writeInt32LE(topDown ? -4 : 4, 22);
    header.writeUInt16LE(1, 26);
    header.writeUInt16LE(bits, 28);
    if (bits === 8) {
      header.writeUInt32LE(3, 46);
      Buffer.from([0, 0, 255, 0, 255, 0, 0, 0, 255, 255, 255, 0]).copy(header, 54);
    }
    const rows = [3, 2, 1, 0].map((row) =>
      Buffer.concat(
        Array.from({ length: 8 }, (_, x) => {
          const color = row === 3 ? 2 : x < 4 ? 0 : 1;
          const bgr = [
            [0, 0, 255],
            [255, 0, 0],
            [255, 255, 255],
          ][color]!;
          return Buffer.from(bits === 8 ? [color] : bits === 24 ? bgr : [...bgr, 0]);
        }),
      ),
    );
    return Buffer.concat([header, ...(topDown ? rows.reverse() : rows)]);
  }

  test.each([
    [8, false],
    [24, false],
    [32, false],
    [24, true],
  ] as const)('%i bits, top down %s', async (bits, topDown) => {
    expect(await corners(writeBmp({ bits, topDown }))).toEqual([RED, BLUE, WHITE]);
  });

  test('runs of equal pixels, and a command for the rest of a line', async () => {
    const plain = writeBmp({ bits: 8 });
    plain.writeUInt32LE(1, 30);
    const runs = Buffer.from([8, 2, 0, 0, ...[1, 2, 3].flatMap(() => [4, 0, 0, 4, 1, 1, 1, 1, 0, 0]), 0, 1]);
    expect(await corners(Buffer.concat([plain.subarray(0, 66), runs]))).toEqual([RED, BLUE, WHITE]);
  });

  test.each([
    ['end before the last row', [8, 2, 0, 0, 8, 1, 0, 1]],
    ['end inside the last row', [8, 2, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 4, 1, 0, 1]],
    ['continue behind their row', [4, 2, 0, 6, 1, 1, 1, 1, 1, 1, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 8, 1, 0, 1]],
    ['jump out of the picture', [8, 2, 0, 0, 0, 2, 0, 9]],
  ])('runs that %s are damage', async (_how, runs) => {
    const plain = writeBmp({ bits: 8 });
    plain.writeUInt32LE(1, 30);
    const file = Buffer.concat([plain.subarray(0, 66), Buffer.from(runs)]);
    await expect(prepare(file)).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('a pixel of a color that the palette does not have is damage', async () => {
    const file = writeBmp({ bits: 8 });
    file.writeUInt32LE(2, 46);
    await expect(prepare(file)).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('a palette of more colors than a byte can name is damage', async () => {
    const file = writeBmp({ bits: 8 });
    file.writeUInt32LE(384, 46);
    await expect(prepare(file)).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('one that is cut is CORRUPT, and one with a PNG inside is not supported', async () => {
    const file = writeBmp({ bits: 24 });
    await expect(prepare(file.subarray(0, -1))).rejects.toMatchObject({ code: 'CORRUPT' });
    file.writeUInt32LE(5, 30);
    await expect(prepare(file)).rejects.toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
      message: expect.stringContaining('PNG'),
    });
  });
});

test('of an icon the largest image is taken', async () => {
  const draw = (side: number, background: string) =>
    sharp({ create: { width: side, height: side, channels: 4, background } })
      .png()
      .toBuffer();
  const pictures = [await draw(16, '#0000ff'), await draw(32, '#ff0000')];
  const directory = Buffer.alloc(6 + 16 * 2);
  directory.writeUInt16LE(1, 2);
  directory.writeUInt16LE(2, 4);
  let offset = directory.length;
  pictures.forEach((picture, i) => {
    const at = 6 + 16 * i;
    directory.fill(i === 0 ? 16 : 32, at, at + 2);
    directory.writeUInt16LE(32, at + 6);
    directory.writeUInt32LE(picture.length, at + 8);
    directory.writeUInt32LE(offset, at + 12);
    offset += picture.length;
  });
  expect(await corners(Buffer.concat([directory, ...pictures]))).toEqual([RED, RED, RED]);
  // Sizes in the directory may be wrong: 0 is 256.
  directory.fill(0, 6, 8);
  const file = Buffer.concat([directory, ...pictures]);
  expect(await corners(file)).toEqual([RED, RED, RED]);
  // The smaller one does not replace one whose size is damaged.
  for (const size of [0, 8]) {
    const damaged = Buffer.from(file);
    damaged.writeUInt32BE(size, directory.length + pictures[0]!.length + 20);
    await expect(prepare(damaged)).rejects.toMatchObject({ code: 'CORRUPT' });
  }
});

test.each(['iCCP', 'tRNS', 'eXIf'])(
  "a PNG's damaged %s is CORRUPT, other damaged notes do not matter",
  async (name) => {
    const png = await sharp({ create: { width: 8, height: 4, channels: 3, background: '#ff0000' } })
      .png()
      .toBuffer();
    const damage = (file: Buffer) => {
      file[33 + 8]! ^= 1;
      return file;
    };
    await expect(prepare(damage(insertChunk(png, name, Buffer.alloc(6))))).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(await corners(damage(insertChunk(png, 'tEXt', Buffer.from('a\0bcd'))))).toEqual([RED, RED, RED]);
  },
);

test("bits of an AVIF's properties that have no meaning yet are CORRUPT if they are set", async () => {
  const avif = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#ff8000' } })
    .avif({ effort: 0 })
    .toBuffer();
  const config = avif.indexOf('av1C') + 4;
  expect((await prepare(avif)).length).toBe(96);
  for (const [at, bits] of [
    [config, 0x02],
    [config + 3, 0x80],
  ] as const) {
    const damaged = Buffer.from(avif);
    damaged[at]! |= bits;
    await expect(prepare(damaged)).rejects.toMatchObject({ code: 'CORRUPT' });
  }
});

test("an AVIF's damaged color profile is ignored, an intact one is applied", async () => {
  const avif = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#ff8000' } })
    .withIccProfile('p3', { attach: true })
    .avif({ lossless: true, effort: 0 })
    .toBuffer();
  const profile = inspectImage(avif);
  if (profile.format !== 'avif' || !profile.profile) throw new Error('no profile');
  const at = profile.profile.byteOffset - avif.byteOffset;
  const [applied] = await corners(avif);
  const green = avif.indexOf('gXYZ', at);
  const damaged = Buffer.from(avif);
  damaged.fill(0x7f, at + avif.readUInt32BE(green + 4) + 8, at + avif.readUInt32BE(green + 4) + 20);
  const [ignored] = await corners(damaged);
  const stored = await sharp(avif, { ignoreIcc: true }).raw().toBuffer();
  for (let channel = 0; channel < 3; channel++) expect(ignored![channel]).toBeCloseTo(stored[channel]!, -0.5);
  expect(applied).not.toEqual(ignored);
});

test('the canvas that the first frame of a GIF leaves uncovered is white', async () => {
  const gif = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#ff0000' } })
    .gif()
    .toBuffer();
  gif.writeUInt16LE(8, 6);
  expect(await corners(gif)).toEqual([RED, WHITE, RED]);
});

test('a GIF whose code words end before its pixels is CORRUPT', async () => {
  const gif = await sharp('models/samples/rocket.jpg').resize(64, 64).gif().toBuffer();
  // An empty block in the middle ends the data.
  const data = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0])) + 11;
  const cut = Buffer.concat([gif.subarray(0, data + 1 + gif[data]! + 1), Buffer.from([0, 0x3b])]);
  await expect(prepare(cut)).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a PQ PNG is tone-mapped: diffuse white of 203 cd/m2 is white', async () => {
  // ITU-R BT.2100: 203 cd/m2 is 0.5807 of the signal.
  const pixels = new Uint16Array(64 * 64 * 3).fill(Math.round(0.5807 * 65_535));
  const raw = { width: 64, height: 64, channels: 3 } as const;
  const png = await sharp(pixels, { raw }).toColourspace('rgb16').png().toBuffer();
  const [color] = await corners(insertChunk(png, 'cICP', Buffer.from([9, 16, 0, 1])));
  for (const channel of color!) expect(channel).toBeGreaterThan(252);
  const [dull] = await corners(png);
  expect(dull![0]).toBeLessThan(155);
});

test('a private variant of PNG is named', async () => {
  const png = await sharp('models/samples/rocket.jpg').resize(16).png().toBuffer();
  const file = Buffer.concat([
    png.subarray(0, 8),
    Buffer.from('\0\0\0\x04CgBI\x50\0\x20\x02\0\0\0\0', 'latin1'),
    png.subarray(8),
  ]);
  await expect(prepare(file)).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
    message: expect.stringContaining('CgBI'),
  });
});
