/**
 * Resizing as `tf.image.resize` and Keras' layers and utilities on top of it do it, in floating point, rounded to 8 bits at
 * the end. Without antialias a shrunk image skips pixels; with it the filter is widened. Half-pixel centers throughout, as
 * since TensorFlow 2. The arithmetic follows core/kernels/image of TensorFlow.
 */
import type { Resizer } from './pixels.ts';
import { roundHalfToEven } from './rounding.ts';
import {
  clampedTaps,
  columnsOf,
  linearTaps,
  makeTaps,
  pickPixels,
  type Range,
  resampleFloat,
  rowsOf,
  type Taps,
} from './separable.ts';

export type TensorflowFilter =
  | 'bilinear'
  | 'bicubic'
  | 'nearest'
  | 'area'
  | 'bilinear-antialias'
  | 'bicubic-antialias'
  | 'lanczos3-antialias';

/** Weights of the bicubic filter come from a table with this many steps per pixel. */
const TABLE_STEPS = 1024;

const cubicNear = (x: number, a: number): number => ((a + 2) * x - (a + 3)) * x * x + 1;
const cubicFar = (x: number, a: number): number => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

interface Kernel {
  radius: number;
  weigh(distance: number): number;
}

const KERNELS = {
  'bilinear-antialias': { radius: 1, weigh: (x) => Math.max(0, 1 - x) },
  'bicubic-antialias': { radius: 2, weigh: (x) => (x >= 2 ? 0 : x >= 1 ? cubicFar(x, -0.5) : cubicNear(x, -0.5)) },
  'lanczos3-antialias': { radius: 3, weigh: (x) => (x > 3 ? 0 : sinc(x) * sinc(x / 3)) },
} satisfies Record<string, Kernel>;

export function createTensorflowResizer(filter: TensorflowFilter): Resizer {
  if (filter === 'nearest') {
    return (source, size, part) =>
      pickPixels(
        source,
        nearestPicks(source.width, size.width, columnsOf(part)),
        nearestPicks(source.height, size.height, rowsOf(part)),
      );
  }
  const tapsOf = chooseTaps(filter);
  return (source, size, part) =>
    resampleFloat(
      source,
      tapsOf(source.width, size.width, columnsOf(part)),
      tapsOf(source.height, size.height, rowsOf(part)),
    );
}

type TapsOf = (inSize: number, outSize: number, range: Range) => Taps;

function chooseTaps(filter: Exclude<TensorflowFilter, 'nearest'>): TapsOf {
  switch (filter) {
    case 'bilinear':
      return bilinearTaps;
    case 'bicubic':
      return bicubicTaps;
    case 'area':
      return areaTaps;
    case 'bilinear-antialias':
    case 'bicubic-antialias':
    case 'lanczos3-antialias':
      return (inSize, outSize, range) => antialiasTaps(KERNELS[filter], inSize, outSize, range);
    default:
      return filter satisfies never;
  }
}

const scaleOf = (inSize: number, outSize: number): number => Math.fround(inSize / outSize);

/** Rounded in each step: near the right edge of a wide image, the errors of single precision are part of the answer. */
function positionOf(inSize: number, outSize: number, index: number): number {
  return Math.fround(Math.fround((index + 0.5) * scaleOf(inSize, outSize)) - 0.5);
}

function nearestPicks(inSize: number, outSize: number, { from, length }: Range): Int32Array {
  const scale = scaleOf(inSize, outSize);
  return Int32Array.from({ length }, (_, i) => Math.min(Math.floor(Math.fround((from + i + 0.5) * scale)), inSize - 1));
}

const bilinearTaps: TapsOf = (inSize, outSize, range) =>
  linearTaps(range, inSize, (index) => positionOf(inSize, outSize, index));

/** Pixels outside the image have no weight; the others share it. */
const bicubicTaps: TapsOf = (inSize, outSize, range) =>
  makeTaps(range, 4, (index, weights) => {
    const position = positionOf(inSize, outSize, index);
    const below = Math.floor(position);
    const part = roundHalfToEven((position - below) * TABLE_STEPS) / TABLE_STEPS;
    const all = [cubicFar(part + 1, -0.5), cubicNear(part, -0.5), cubicNear(1 - part, -0.5), cubicFar(2 - part, -0.5)];
    const start = Math.max(below - 1, 0);
    const end = Math.min(below + 2, inSize - 1);
    let sum = 0;
    for (let at = start; at <= end; at++) sum += all[at - (below - 1)]!;
    for (let at = start; at <= end; at++) weights[at - start] = all[at - (below - 1)]! / sum;
    return { start, count: end - start + 1 };
  });

const areaTaps: TapsOf = (inSize, outSize, range) => {
  const scale = scaleOf(inSize, outSize);
  return clampedTaps(range, inSize, Math.ceil(scale) + 1, (index) => {
    const from = Math.fround(index * scale);
    const to = Math.fround((index + 1) * scale);
    const first = Math.floor(from);
    const weights = Array.from({ length: Math.ceil(scale) + 1 }, (_, i) => {
      const covered = Math.min(first + i + 1, to) - Math.max(first + i, from);
      return Math.max(covered, 0) / scale;
    });
    return { first, weights };
  });
};

function antialiasTaps({ radius, weigh }: Kernel, inSize: number, outSize: number, range: Range): Taps {
  const scale = Math.fround(1 / Math.fround(outSize / inSize));
  const widening = Math.max(scale, 1);
  const reach = radius * widening;
  return makeTaps(range, Math.ceil(reach) * 2 + 1, (index, weights) => {
    const center = Math.fround((index + 0.5) * scale);
    const start = Math.max(Math.ceil(center - reach - 0.5), 0);
    const end = Math.min(Math.floor(center + reach - 0.5), inSize - 1);
    let sum = 0;
    for (let at = start; at <= end; at++) {
      weights[at - start] = weigh(Math.abs(at + 0.5 - center) / widening);
      sum += weights[at - start]!;
    }
    for (let at = start; at <= end; at++) weights[at - start] = weights[at - start]! / sum;
    return { start, count: end - start + 1 };
  });
}
