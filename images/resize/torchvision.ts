/**
 * Resizing as torchvision does it on uint8 tensors (`decode_image`, then `v2.Resize`), which is torch's `interpolate`. The
 * filters are Pillow's. Bicubic is fixed point with 16-bit weights; bilinear is floating point, rounded at the end (on
 * processors with AVX2 and without AVX-512 it is fixed point too, and some values differ by one). On PIL images torchvision
 * calls Pillow: pillow.ts.
 */
import { copyTaps, type FixedTaps, resampleFixed, toFixedTaps } from './fixed-point-resampling.ts';
import { PILLOW_FILTERS, pillowTaps } from './pillow.ts';
import type { Resizer } from './pixels.ts';
import {
  clampedTaps,
  columnsOf,
  type FloatTaps,
  linearTaps,
  pickPixels,
  type Range,
  resampleFloat,
  rowsOf,
} from './separable.ts';

export type TorchvisionFilter =
  | 'bilinear'
  | 'bicubic'
  | 'bilinear-no-antialias'
  | 'bicubic-no-antialias'
  | 'nearest'
  | 'nearest-exact';

const { fround } = Math;
/** Without antialias torch's bicubic filter is sharper than Pillow's. */
const SHARP_A = -0.75;
/** Weights are kept in as many bits as let the largest fit into 16 bits. */
const MAX_WEIGHT = 2 ** 15;
const MAX_BITS = 22;

export function createTorchvisionResizer(filter: TorchvisionFilter): Resizer {
  switch (filter) {
    case 'bilinear':
      return createFloatResizer(antialiasTaps('bilinear'));
    case 'bicubic':
      return createFixedResizer(antialiasTaps('bicubic'));
    case 'bilinear-no-antialias':
      return createFloatResizer(bilinearTaps);
    case 'bicubic-no-antialias':
      return createFixedResizer(bicubicTaps);
    case 'nearest':
      return createNearestResizer(0);
    case 'nearest-exact':
      return createNearestResizer(0.5);
    default:
      return filter satisfies never;
  }
}

type TapsOf = (inSize: number, outSize: number, range: Range) => FloatTaps;

const antialiasTaps =
  (filter: 'bilinear' | 'bicubic'): TapsOf =>
  (inSize, outSize, range) =>
    pillowTaps(PILLOW_FILTERS[filter], inSize, 0, inSize, outSize, range);

function createFloatResizer(tapsOf: TapsOf): Resizer {
  return (source, size, part) =>
    resampleFloat(
      source,
      tapsOf(source.width, size.width, columnsOf(part)),
      tapsOf(source.height, size.height, rowsOf(part)),
    );
}

/** As torch's `upsample_generic_Nd` on uint8: each pass is rounded to 8 bits; a dimension that keeps its size is left as it is. */
function createFixedResizer(tapsOf: TapsOf): Resizer {
  const fixedTaps = (inSize: number, outSize: number, range: Range): FixedTaps => {
    if (inSize === outSize) return copyTaps(range);
    // The largest weight of all of the dimension decides, not only of the part that is computed.
    const { weights, starts, counts, stride } = tapsOf(inSize, outSize, { from: 0, length: outSize });
    const largest = weights.reduce((a, b) => Math.max(a, b), 0);
    let bits = 0;
    while (bits < MAX_BITS && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < MAX_WEIGHT) bits++;
    const [from, end] = [range.from, range.from + range.length];
    const wanted = {
      starts: starts.subarray(from, end),
      counts: counts.subarray(from, end),
      weights: weights.subarray(from * stride, end * stride),
      stride,
    };
    return toFixedTaps(wanted, bits);
  };
  return (source, size, part) =>
    resampleFixed(
      source,
      fixedTaps(source.width, size.width, columnsOf(part)),
      fixedTaps(source.height, size.height, rowsOf(part)),
    );
}

const bilinearTaps: TapsOf = (inSize, outSize, range) =>
  linearTaps(range, inSize, (index) => Math.max((index + 0.5) * (inSize / outSize) - 0.5, 0));

const bicubicTaps: TapsOf = (inSize, outSize, range) =>
  clampedTaps(range, inSize, 4, (index) => {
    const position = (index + 0.5) * (inSize / outSize) - 0.5;
    const below = Math.floor(position);
    const part = position - below;
    const a = SHARP_A;
    const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
    const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    return { first: below - 1, weights: [far(part + 1), near(part), near(1 - part), far(2 - part)] };
  });

function createNearestResizer(shift: number): Resizer {
  const picks = (inSize: number, outSize: number, { from, length }: Range) => {
    const scale = fround(inSize / outSize);
    return Int32Array.from({ length }, (_, i) => Math.min(Math.floor(fround((from + i + shift) * scale)), inSize - 1));
  };
  return (source, size, part) =>
    pickPixels(
      source,
      picks(source.width, size.width, columnsOf(part)),
      picks(source.height, size.height, rowsOf(part)),
    );
}
