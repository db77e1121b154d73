import type { Layout } from './input-trace.ts';
import type { Sizes } from './ports.ts';

/** What the shape of an input does not say of an image. */
export type MissingDimension = 'batch' | 'channels' | 'shape';

/** What a spec or a user says about the images, if the file does not. */
export interface ImageShape {
  width?: number | undefined;
  height?: number | undefined;
  channels?: number | undefined;
  layout?: Layout | undefined;
}

/** The sizes of a batch of images. */
interface Completed {
  sizes: Sizes;
  without: MissingDimension | undefined;
}

/** Smaller ones may be anything. */
const MIN_SIDE = 8;

/** Adds the dimension that an image of three lacks. Undefined for what is not an image; a gray one without channels or batch must be square. */
export function completeSizes(sizes: Sizes): Completed | undefined {
  if (sizes === undefined || sizes.length === 4) return { sizes, without: undefined };
  const [first = 0, second = 0, third = 0] = sizes;
  if (sizes.length !== 3) return undefined;
  const isSide = (size: number) => size >= MIN_SIDE;
  const isColor = (size: number) => size === 3 || size === 4;
  const isFirst = isColor(first) && isSide(second) && isSide(third);
  const isLast = isSide(first) && isSide(second) && (isColor(third) || (third === 1 && first === second));
  if (isFirst || isLast) return { sizes: [1, ...sizes], without: 'batch' };
  const isGray = !isSide(first) && isSide(second) && second === third;
  return isGray ? { sizes: [...sizes, 1], without: 'channels' } : undefined;
}

/** Rows of as many numbers as an image of that size has. */
export function shapeRows(sizes: Sizes, { width, height, channels, layout }: ImageShape): Completed | undefined {
  const [batch, count] = sizes ?? [];
  if (sizes?.length !== 2 || count === undefined || width === undefined || height === undefined) return undefined;
  const depth = channels ?? count / (width * height);
  if (depth * width * height !== count || ![1, 3, 4].includes(depth)) return undefined;
  const shape = layout === 'nchw' ? [depth, height, width] : [height, width, depth];
  return { sizes: [batch, ...shape], without: 'shape' };
}

/** Where the channels are, if exactly one of the two places has a size that channels have. */
export function layoutOfSizes(sizes: readonly (number | undefined)[]): Layout | undefined {
  return layoutBy(sizes, (size) => size === 1 || size === 3 || size === 4);
}

/** Where the channels are by the names that the file gives its dimensions, if it leaves their sizes open. */
export function layoutOfNames(names: readonly (string | undefined)[]): Layout | undefined {
  return layoutBy(names, (name) => /^(c|((num|in)_?)?channels?)$/i.test(name ?? ''));
}

function layoutBy<T>(
  [, second, , fourth]: readonly T[],
  isChannels: (dimension: T | undefined) => boolean,
): Layout | undefined {
  if (isChannels(second) === isChannels(fourth)) return undefined;
  return isChannels(second) ? 'nchw' : 'nhwc';
}
