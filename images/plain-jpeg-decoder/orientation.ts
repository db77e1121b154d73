/** The eight ways in which a camera stores an image, by the numbers of EXIF: 1 is upright, from 5 on width and height are exchanged. */
import type { Area, Pixels, Size } from '../resize/pixels.ts';

export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const isTransposed = (orientation: Orientation): boolean => orientation >= 5;
/** Whether the stored columns, or rows, run backward. */
const isMirrored = (orientation: Orientation): boolean => [2, 3, 7, 8].includes(orientation);
const isFlipped = (orientation: Orientation): boolean => [3, 4, 6, 7].includes(orientation);

/** The size of a stored image when it is upright. */
export function uprightSize({ width, height }: Size, orientation: Orientation): Size {
  return isTransposed(orientation) ? { width: height, height: width } : { width, height };
}

/**
 * @param area a part of the upright image
 * @param size of the stored image
 * @returns where that part is stored
 */
export function storedArea(area: Area, { width, height }: Size, orientation: Orientation): Area {
  const { left, top, ...rest } = isTransposed(orientation)
    ? { left: area.top, top: area.left, width: area.height, height: area.width }
    : area;
  return {
    left: isMirrored(orientation) ? width - left - rest.width : left,
    top: isFlipped(orientation) ? height - top - rest.height : top,
    ...rest,
  };
}

/**
 * Copies a stored image as it is upright.
 * @param area the part of the upright image that is copied; its other pixels are 0
 */
export function turnUpright({ data, width, height, channels }: Pixels, orientation: Orientation, area: Area): Pixels {
  const size = uprightSize({ width, height }, orientation);
  const column = isMirrored(orientation) ? -channels : channels;
  const row = (isFlipped(orientation) ? -width : width) * channels;
  const [across, down] = isTransposed(orientation) ? [row, column] : [column, row];
  const corner =
    ((isFlipped(orientation) ? height - 1 : 0) * width + (isMirrored(orientation) ? width - 1 : 0)) * channels;
  const upright = new Uint8Array(width * height * channels);
  for (let y = area.top; y < area.top + area.height; y++) {
    let from = corner + area.left * across + y * down;
    let to = (y * size.width + area.left) * channels;
    for (let x = 0; x < area.width; x++, from += across, to += channels) {
      for (let channel = 0; channel < channels; channel++) upright[to + channel] = data[from + channel]!;
    }
  }
  return { data: upright, ...size, channels };
}
