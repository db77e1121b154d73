import type { RawImage } from './raw-image.ts';

/**
 * Rotates pixels upright.
 * @param orientation as EXIF and TIFF number it, 1 to 8; anything else leaves the image as it is
 */
export function turnUpright(image: RawImage, orientation: number): RawImage {
  if (!(orientation >= 2 && orientation <= 8)) return image;
  const { data, width, height, channels } = image;
  const isSwapped = orientation >= 5;
  const turned = { width: isSwapped ? height : width, height: isSwapped ? width : height };
  const target = Buffer.allocUnsafe(data.length);
  // The source of the pixel in a target's column and row.
  const isFlipped = { x: [2, 3, 7, 8].includes(orientation), y: [3, 4, 6, 7].includes(orientation) };
  for (let y = 0, to = 0; y < turned.height; y++) {
    for (let x = 0; x < turned.width; x++) {
      const [column, row] = isSwapped ? [y, x] : [x, y];
      const fromX = isFlipped.x ? width - 1 - column : column;
      const fromY = isFlipped.y ? height - 1 - row : row;
      const from = (fromY * width + fromX) * channels;
      for (let channel = 0; channel < channels; channel++) target[to++] = data[from + channel]!;
    }
  }
  return { data: target, ...turned, channels };
}
