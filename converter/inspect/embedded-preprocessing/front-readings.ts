/** What the answers of a model's front show. */
import {
  type ChannelOrder,
  IMAGE_RANGES,
  type ImageRange,
  orderOfMeans,
  type Response,
} from '../../onnx-reader/expected-values.ts';
import type { NormalizationSpec } from '../../spec/input-spec.ts';
import type { TestImage, TestImages } from './test-images.ts';

/** What a model's operators before its first learned one show of the images that it takes. */
export type FrontReading =
  | { shows: 'nothing'; keepsValues: boolean; isGray: boolean; order: ChannelOrder | undefined }
  | { shows: 'values'; normalization: NormalizationSpec; isOrderOpen: boolean; does: string }
  /** Each image is divided by its own deviation. `isExact`: whatever it is multiplied with makes no difference. */
  | { shows: 'any factor'; isExact: boolean }
  /** It changes the values in a way that fits no usual range. */
  | { shows: 'unknown'; does: string };

/** The values that a test image has behind the front. */
export type Run = (image: TestImage) => Promise<Float32Array>;

/** A test image in a range of values. */
export function inRange(range: ImageRange, image: TestImage): TestImage {
  const { black, white } = IMAGE_RANGES[range];
  return (place, channel) => {
    const low = black[channel] ?? black[0];
    return low + image(place, channel) * ((white[channel] ?? white[0]) - low);
  };
}

export interface ColorReading {
  /** Undefined if nothing shows it. */
  order: ChannelOrder | undefined;
  isExchanged: boolean;
  isGray: boolean;
}

/** How far from all or nothing a channel's share may be. */
const SHARE_DISTANCE = 0.02;
/** Red weighs more than blue in every formula of gray. */
const GRAY_DISTANCE = 0.05;

/**
 * Which of the three channels are behind which values, from images of one color.
 * @param places of the values that are looked at
 */
export async function readColors(
  run: Run,
  range: ImageRange,
  shown: TestImages,
  { black, white }: Response,
  places: readonly number[],
): Promise<ColorReading> {
  const colors: Float32Array[] = [];
  for (const color of [shown.red, shown.green, shown.blue]) colors.push(await run(inRange(range, color)));
  const dark = await run(inRange(range, shown.black));
  const zeros: number[][] = [[], [], []];
  const shares = [0, 0, 0];
  for (const [i, place] of places.entries()) {
    const [low, span] = [black[i] ?? 0, (white[i] ?? 0) - (black[i] ?? 0)];
    const parts = colors.map((values) => ((values[place] ?? 0) - low) / span);
    const main = parts.findIndex((part) => Math.abs(part - 1) < SHARE_DISTANCE);
    if (main >= 0 && parts.every((part, c) => c === main || Math.abs(part) < SHARE_DISTANCE))
      zeros[main]?.push(-low / span);
    for (const [c, part] of parts.entries()) shares[c] = (shares[c] ?? 0) + part / places.length;
  }
  const isGray = zeros.every((list) => list.length === 0);
  const firsts = colors.map((values) => values.findIndex((value, place) => value !== dark[place]));
  const [red = -1, , blue = -1] = firsts;
  // A color that nothing depends on is nowhere, and not exchanged.
  const isExchanged = !isGray && red >= 0 && blue >= 0 && blue < red;
  return { isGray, isExchanged, order: isGray ? orderOfGray(shares) : orderOfMeans(zeros.map(averageOf)) };
}

function orderOfGray([red = 0, , blue = 0]: readonly number[]): ChannelOrder | undefined {
  if (red > blue + GRAY_DISTANCE) return 'rgb';
  return blue > red + GRAY_DISTANCE ? 'bgr' : undefined;
}

function averageOf(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Of a front that changes values in a way that a model may have learned. */
export const LEARNED: FrontReading = { shows: 'nothing', keepsValues: false, isGray: false, order: undefined };

/** What an epsilon may change. */
const LARGE_DIFFERENCE = 0.05;
const SMALL_DIFFERENCE = 1e-4;
const ALMOST_ALL = 0.9;

/**
 * Recognizes models that divide each image by its own deviation, or by its largest value. Those that divide parts of an image, each by its
 * own, as a layer normalization of patches does, show nothing.
 * @param pick the values that are looked at
 * @returns undefined for other summaries
 */
export async function readStandardization(
  run: Run,
  shown: TestImages,
  pick: (values: Float32Array) => number[],
): Promise<FrontReading | undefined> {
  const see = async (range: ImageRange, image: TestImage) => pick(await run(inRange(range, image)));
  const [bytes, unit] = [await see('bytes', shown.noise), await see('unit', shown.noise)];
  if (shareWithin(LARGE_DIFFERENCE, bytes, unit) < ALMOST_ALL) return undefined;
  const darkened = await see('bytes', shown.darkened);
  const changed = darkened.filter((value, i) => Math.abs(value - (bytes[i] ?? 0)) > SMALL_DIFFERENCE);
  if (changed.length < ALMOST_ALL * darkened.length) return LEARNED;
  const isExact = shareWithin(SMALL_DIFFERENCE, await see('bytes', shown.faint), await see('unit', shown.faint)) === 1;
  return { shows: 'any factor', isExact };
}

/** The share of values whose difference is below a part of the largest value. */
function shareWithin(part: number, left: readonly number[], right: readonly number[]): number {
  const largest = left.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const within = left.filter((value, i) => Math.abs(value - (right[i] ?? Number.NaN)) < part * largest);
  return left.length === 0 ? 0 : within.length / left.length;
}

/** What several values that learned operators read show together. */
export function joinReadings(readings: readonly FrontReading[]): FrontReading | undefined {
  const found = readings.filter((it) => it.shows === 'values');
  // An order that one of them leaves open is open.
  const byOpenness = [...found].sort((a, b) => Number(b.isOrderOpen) - Number(a.isOrderOpen));
  const [first, ...others] = found.length > 0 ? byOpenness : sorted(readings);
  if (first?.shows !== 'values') return first;
  const wanted = JSON.stringify(first.normalization);
  const isSame = others.every((it) => it.shows === 'values' && JSON.stringify(it.normalization) === wanted);
  return isSame ? first : { shows: 'unknown', does: 'does several things with its input' };
}

/** What says most comes first. */
function sorted(readings: readonly FrontReading[]): FrontReading[] {
  const rank = ({ shows }: FrontReading) => ['any factor', 'unknown', 'nothing'].indexOf(shows);
  return [...readings].sort((a, b) => rank(a) - rank(b));
}
