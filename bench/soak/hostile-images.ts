/** Small files that are expensive to decode, and legal. */
import { deflateSync } from 'node:zlib';
import { makePngChunk } from '@inferql/testing/data/test-images';

/** Passes of an interlaced PNG: first column and row, and the distances between them. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** An interlaced PNG of 16 bits per channel, RGBA, all zeros: half a megabyte for 64 megapixels. */
export function makeInterlacedPng(side: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([16, 6, 0, 0, 1], 8);
  const bytes = PASSES.reduce((sum, [x, y, dx, dy]) => {
    const columns = Math.ceil((side - x) / dx);
    const rows = Math.ceil((side - y) / dy);
    return sum + rows * (1 + 8 * columns);
  }, 0);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    makePngChunk('IHDR', header),
    makePngChunk('IDAT', deflateSync(Buffer.alloc(bytes), { level: 9 })),
    makePngChunk('IEND', Buffer.alloc(0)),
  ]);
}
