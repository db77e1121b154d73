import { crc32, deflateSync } from 'node:zlib';

/** A chunk of a PNG, with its checksum. */
export function makePngChunk(type: string, data: Uint8Array): Buffer {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** A PNG of one color, red, green and blue 0..255. `rows` fewer than its height make one that ends early. */
export function makePng(
  width: number,
  height: number,
  color: readonly [number, number, number],
  rows = height,
): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // 8 bits per channel, RGB.
  header.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([Buffer.from([0]), Buffer.from(Array.from({ length: width }, () => color).flat())]);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    makePngChunk('IHDR', header),
    makePngChunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: rows }, () => row)))),
    makePngChunk('IEND', new Uint8Array()),
  ]);
}

/** Pictures from `makePicture` never have a first byte of this or above: those are for failures. */
export const FIRST_MISHAP = 200;

/** The class that the scripted model answers for `makePicture(n)`, n in 0..3199. */
export function expectedClass(n: number): number {
  return (n % FIRST_MISHAP) + 256 * Math.floor(n / FIRST_MISHAP);
}

/** The nth picture, which no other n has; 4 x 4 pixels, as the scripted model takes them. */
export function makePicture(n: number): Uint8Array {
  return makePng(4, 4, [n % FIRST_MISHAP, Math.floor(n / FIRST_MISHAP), 7]);
}

/** A picture whose first byte causes a failure in the scripted model. */
export function makeMishap(firstByte: number, n = 0): Uint8Array {
  return makePng(4, 4, [firstByte, n, 7]);
}
