/**
 * Resizing as a browser's canvas draws an image (an `<img>`) with the default smoothing (`imageSmoothingQuality: 'low'`). The standard
 * does not define the filter; this is what Chromium does on the CPU. It first halves an image that is at least twice as large as the
 * result, as often as it stays at least as large, and resizes what it gets bilinearly, with half-pixel centers and no antialias: Skia's
 * positions in 16 bits, its weights in sixteenths, its result truncated. When the image is cropped, a position that falls exactly on a
 * sixteenth may be taken from the other side, which changes a value by a sixteenth of the step between two pixels. Sides that cannot be
 * halved without a rest are rounded up, and resized in floating point, which may change a value by 1.
 */
import type { Pixels, Resizer, Size } from './pixels.ts';
import { columnsOf, makeTaps, type Range, rowsOf } from './separable.ts';

const STEPS = 16;

/** `round`: vertical positions are single precision, horizontal positions are a fixed-point sum. */
function skiaTaps(inSize: number, outSize: number, range: Range, round: (position: number) => number) {
  const scale = Math.fround(1 / Math.fround(outSize / inSize));
  return makeTaps(range, 2, (index, weights) => {
    const position = round((index + 0.5) * scale) - 0.5;
    const below = Math.floor(position);
    const sixteenths = Math.floor((position - below) * STEPS);
    const low = Math.min(Math.max(below, 0), inSize - 1);
    const high = Math.min(Math.max(below + 1, 0), inSize - 1);
    weights[0] = low === high ? STEPS : STEPS - sixteenths;
    weights[1] = low === high ? 0 : sixteenths;
    return { start: low, count: high - low + 1 };
  });
}

/** An image of half the size, without the last row and column of an odd one: averages of two pixels, or of three, the middle one twice. */
function halve({ data, width, height, channels }: Pixels): Pixels {
  const half = { width: Math.max(width >> 1, 1), height: Math.max(height >> 1, 1) };
  const [across, down] = [weightsOf(width), weightsOf(height)];
  const shift = across.shift + down.shift;
  const isEven = across.shift === 1 && down.shift === 1;
  const result = new Uint8Array(half.width * half.height * channels);
  const stride = width * channels;
  let to = 0;
  for (let y = 0; y < half.height; y++) {
    for (let x = 0; x < half.width; x++) {
      const from = 2 * y * stride + 2 * x * channels;
      for (let channel = from; channel < from + channels; channel++) {
        if (isEven) {
          // The usual case, in a third of the time.
          const below = channel + stride;
          result[to++] = (data[channel]! + data[channel + channels]! + data[below]! + data[below + channels]!) >> 2;
          continue;
        }
        let sum = 0;
        for (let row = 0; row < down.weights.length; row++) {
          const at = channel + row * stride;
          for (let column = 0; column < across.weights.length; column++) {
            sum += down.weights[row]! * across.weights[column]! * data[at + column * channels]!;
          }
        }
        result[to++] = sum >> shift;
      }
    }
  }
  return { data: result, ...half, channels };
}

function weightsOf(side: number): { weights: readonly number[]; shift: number } {
  if (side === 1) return { weights: [1], shift: 0 };
  return side % 2 === 0 ? { weights: [1, 1], shift: 1 } : { weights: [1, 2, 1], shift: 2 };
}

/** Bilinearly in floating point, rounded. */
function interpolate({ data, width, height, channels }: Pixels, size: Size): Pixels {
  const placesOf = (inSize: number, outSize: number) =>
    Array.from({ length: outSize }, (_, i) => {
      const position = ((i + 0.5) * inSize) / outSize - 0.5;
      const below = Math.floor(position);
      return { low: Math.max(below, 0), high: Math.min(below + 1, inSize - 1), share: position - below };
    });
  const columns = placesOf(width, size.width);
  const result = new Uint8Array(size.width * size.height * channels);
  let to = 0;
  for (const row of placesOf(height, size.height)) {
    for (const { low, high, share } of columns) {
      for (let channel = 0; channel < channels; channel++) {
        const valueAt = (y: number, x: number) => data[(y * width + x) * channels + channel]!;
        const upper = valueAt(row.low, low) * (1 - share) + valueAt(row.low, high) * share;
        const lower = valueAt(row.high, low) * (1 - share) + valueAt(row.high, high) * share;
        result[to++] = Math.round(upper * (1 - row.share) + lower * row.share);
      }
    }
  }
  return { data: result, ...size, channels };
}

/** The image that Chromium draws instead of one that is much larger than the result. */
function reduce(source: Pixels, size: Size): Pixels {
  const { width, height } = source;
  const sizeAt = (halvings: number): Size => ({
    width: Math.ceil(width / 2 ** halvings),
    height: Math.ceil(height / 2 ** halvings),
  });
  const fits = (halved: Size) => halved.width >= size.width && halved.height >= size.height;
  const canHalve = ({ width, height }: Size) => width > 1 || height > 1;
  let halvings = 0;
  while (canHalve(sizeAt(halvings)) && fits(sizeAt(halvings + 1))) halvings++;
  const target = sizeAt(halvings);
  // Sides that are rounded up are less than halved, so that Skia's own halving stops one step earlier.
  const isExact = target.width * 2 ** halvings === width && target.height * 2 ** halvings === height;
  let reduced = source;
  for (let step = 0; step < (isExact ? halvings : halvings - 1); step++) reduced = halve(reduced);
  const isThere = reduced.width === target.width && reduced.height === target.height;
  return isThere ? reduced : interpolate(reduced, target);
}

export const resizeAsCanvas: Resizer = (source, size, part) => {
  const { data, width, height, channels } = reduce(source, size);
  const columns = skiaTaps(width, size.width, columnsOf(part), (position) => position);
  const rows = skiaTaps(height, size.height, rowsOf(part), Math.fround);
  const result = new Uint8Array(part.width * part.height * channels);
  const stride = width * channels;
  let to = 0;
  for (let y = 0; y < part.height; y++) {
    const row = rows.starts[y]! * stride;
    const down = rows.counts[y] === 2 ? stride : 0;
    for (let x = 0; x < part.width; x++) {
      const across = columns.counts[x] === 2 ? channels : 0;
      const at = row + columns.starts[x]! * channels;
      for (let channel = at; channel < at + channels; channel++) {
        const upper = data[channel]! * columns.weights[x * 2]! + data[channel + across]! * columns.weights[x * 2 + 1]!;
        const lower =
          data[channel + down]! * columns.weights[x * 2]! +
          data[channel + down + across]! * columns.weights[x * 2 + 1]!;
        result[to++] = (upper * rows.weights[y * 2]! + lower * rows.weights[y * 2 + 1]!) >> 8;
      }
    }
  }
  return result;
};
