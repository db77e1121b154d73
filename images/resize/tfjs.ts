/**
 * Resizing as TensorFlow.js' `tf.image.resizeBilinear` and `resizeNearestNeighbor` do it, in floating point, rounded to 8 bits
 * at the end. By default neither corners nor centers are aligned: pixel i of the result is at i * scale.
 */
import type { Resizer } from './pixels.ts';
import { columnsOf, linearTaps, pickPixels, type Range, resampleFloat, rowsOf } from './separable.ts';

/** `corners`: alignCorners; `centers`: halfPixelCenters; `origin`: neither. */
export type TfjsAlignment = 'origin' | 'corners' | 'centers';

function positionOn(inSize: number, outSize: number, alignment: TfjsAlignment): (index: number) => number {
  switch (alignment) {
    case 'origin':
      return (index) => index * (inSize / outSize);
    case 'corners':
      return outSize > 1 ? (index) => index * ((inSize - 1) / (outSize - 1)) : (index) => index * inSize;
    case 'centers':
      return (index) => (index + 0.5) * (inSize / outSize);
    default:
      return alignment satisfies never;
  }
}

export function createTfjsBilinearResizer(alignment: TfjsAlignment): Resizer {
  const shift = alignment === 'centers' ? 0.5 : 0;
  const taps = (inSize: number, outSize: number, range: Range) => {
    const positionOf = positionOn(inSize, outSize, alignment);
    return linearTaps(range, inSize, (index) => positionOf(index) - shift);
  };
  return (source, size, part) =>
    resampleFloat(
      source,
      taps(source.width, size.width, columnsOf(part)),
      taps(source.height, size.height, rowsOf(part)),
    );
}

export function createTfjsNearestResizer(alignment: TfjsAlignment): Resizer {
  const round = alignment === 'corners' ? Math.round : Math.floor;
  const picks = (inSize: number, outSize: number, { from, length }: Range) => {
    const positionOf = positionOn(inSize, outSize, alignment);
    return Int32Array.from({ length }, (_, i) => Math.min(inSize - 1, Math.max(0, round(positionOf(from + i)))));
  };
  return (source, size, part) =>
    pickPixels(
      source,
      picks(source.width, size.width, columnsOf(part)),
      picks(source.height, size.height, rowsOf(part)),
    );
}
