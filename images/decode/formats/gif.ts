import type { Sharp } from 'sharp';
import type { GifFacts } from '../../inspect/image-facts.ts';
import { refuseDamage } from '../../inspect/refusals.ts';
import type { RawImage } from './raw-image.ts';

const TRAILER = Buffer.from(';');

/** The file up to its first frame, on a canvas that holds it: a decoder that gets the whole file would read each frame. */
export function cutToFirstFrame(file: Buffer, { firstFrameEnd, width, height }: GifFacts): Buffer {
  const isRight = file.readUInt16LE(6) === width && file.readUInt16LE(8) === height;
  if (isRight && file[firstFrameEnd] === TRAILER[0]) return file.subarray(0, firstFrameEnd + 1);
  const cut = Buffer.concat([file.subarray(0, firstFrameEnd), TRAILER]);
  cut.writeUInt16LE(Math.min(width, 0xffff), 6);
  cut.writeUInt16LE(Math.min(height, 0xffff), 8);
  return cut;
}

/** Whether the first frame leaves nothing of the canvas empty. */
export function coversCanvas({ frame, width, height }: GifFacts): boolean {
  return frame.width === width && frame.height === height;
}

/** The canvas around the first frame is transparent in browsers, whatever background color the file gives: here it is white. */
export async function decodeOnCanvas(image: Sharp, { frame, width, height }: GifFacts): Promise<RawImage> {
  const { data, info } = await image
    .extract(frame)
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw refuseDamage();
  const canvas = Buffer.alloc(width * height * 3, 255);
  const rowBytes = frame.width * 3;
  for (let row = 0; row < frame.height; row++) {
    data.copy(canvas, ((frame.top + row) * width + frame.left) * 3, row * rowBytes, (row + 1) * rowBytes);
  }
  return { data: canvas, width, height, channels: 3 };
}
