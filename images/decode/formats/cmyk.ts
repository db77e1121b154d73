import type { Sharp } from 'sharp';
import type { RawImage } from './raw-image.ts';

/**
 * Decodes an image of cyan, magenta, yellow and black (CMYK, YCCK) and converts it without a color profile, as the libraries that
 * train models do. The arithmetic is that of Pillow's Convert.c, which torchvision copies; OpenCV's differs by 2 of 255 at most.
 * @param image an opened CMYK image without transparency
 * @returns upright RGB
 * @throws whatever sharp throws if the image cannot be decoded
 */
export async function decodeCmyk(image: Sharp): Promise<RawImage> {
  const { depth } = await image.metadata();
  const isDeep = depth === 'ushort';
  const { data, info } = await image
    .autoOrient()
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: isDeep ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return convertCmyk(isDeep ? toBytes(data) : data, info.width, info.height);
}

/** The upper byte of each 16-bit number. */
function toBytes(data: Buffer): Buffer {
  return Buffer.from(new Uint16Array(data.buffer, data.byteOffset, data.length / 2).map((sample) => sample >> 8));
}

/** @param cmyk uint8, height x width x 4 @returns height x width x 3 */
function convertCmyk(cmyk: Buffer, width: number, height: number): RawImage {
  const data = Buffer.allocUnsafe(width * height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    const light = 255 - cmyk[from + 3]!;
    for (let ink = from; ink < from + 3; ink++) {
      const product = cmyk[ink]! * light + 128;
      data[to++] = light - (((product >> 8) + product) >> 8);
    }
  }
  return { data, width, height, channels: 3 };
}
