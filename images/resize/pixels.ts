/** A decoded image: uint8, height x width x channels, channels last, gray, RGB or RGBA, no padding between rows. */
export interface Pixels {
  data: Uint8Array;
  width: number;
  height: number;
  channels: 1 | 3 | 4;
}

export interface Size {
  width: number;
  height: number;
}

/** A rectangle in pixels. */
export interface Area extends Size {
  left: number;
  top: number;
}

/**
 * Resizes an image and returns only a part of the result.
 * @param source the whole image
 * @param size what the whole image is resized to
 * @param part the requested rectangle of the resized image, inside `size`
 * @param box the rectangle of the source that is resized; absent: all of it. Neighbors outside it still take part, as in Pillow.
 * @returns uint8, part.height x part.width x channels
 */
export type Resizer = (source: Pixels, size: Size, part: Area, box?: Area) => Uint8Array;

/** Copies a rectangle out of an image. */
export function cutPixels({ data, width, height, channels }: Pixels, area: Area): Pixels {
  const isWhole = area.left === 0 && area.top === 0 && area.width === width && area.height === height;
  if (isWhole) return { data, width, height, channels };
  const rowBytes = area.width * channels;
  const cut = new Uint8Array(rowBytes * area.height);
  for (let y = 0; y < area.height; y++) {
    const from = ((area.top + y) * width + area.left) * channels;
    cut.set(data.subarray(from, from + rowBytes), y * rowBytes);
  }
  return { data: cut, width: area.width, height: area.height, channels };
}
