import type { NormalizationSpec } from '../spec/input-spec.ts';
import { NAMED_NORMALIZATIONS } from '../spec/normalization.ts';

/** What a model makes of black, gray and white images: a number per channel, or for each of the values that were looked at. */
export interface Response {
  black: readonly number[];
  gray: readonly number[];
  white: readonly number[];
}

const { mean, std } = NAMED_NORMALIZATIONS.torch;

/** The usual ranges of images: black and white, for all channels or for each. */
export const IMAGE_RANGES = {
  bytes: { black: [0], white: [255] },
  signed: { black: [-1], white: [1] },
  unit: { black: [0], white: [1] },
  imagenet: {
    black: mean.map((value, i) => -value / (std[i] ?? 1)),
    white: mean.map((value, i) => (1 - value) / (std[i] ?? 1)),
  },
} as const;

export type ImageRange = keyof typeof IMAGE_RANGES;
/** To images in each of the ranges. */
export type Responses = Record<ImageRange, Response>;

export function mapRanges<T>(map: (range: ImageRange) => T): Record<ImageRange, T> {
  return { bytes: map('bytes'), signed: map('signed'), unit: map('unit'), imagenet: map('imagenet') };
}

const NORMALIZATION_OF_RANGE = { bytes: 'none', signed: 'tf', unit: 'unit', imagenet: 'torch' } as const;

/** Models are trained on values of about this size. */
const LARGEST_VALUE = 8;
const SMALLEST_SPAN = 0.2;
/** How far gray may be from halfway between black and white. A limit moves it further. */
const MAX_BEND = 0.3;
/** A mean per pixel may be that of pixels that never change. */
const MOST = 0.9;

/**
 * The range of the images that a model makes usual values of.
 * @returns undefined if there is none, or if the model leaves them as they are
 */
export function expectedRange(responses: Responses): ImageRange | undefined {
  const { bytes, signed, imagenet, unit } = responses;
  if (isUsual(bytes) || isCaffe(bytes)) return 'bytes';
  const isMadeOfSigned = every(
    signed,
    (low, high) => near(low, 0, 0.01) && (near(high, 1, 0.01) || near(high, 255, 1)),
  );
  if (isMadeOfSigned && isDarker(signed, unit)) return 'signed';
  if (every(imagenet, isMadeOfImagenet) && isDarker(imagenet, signed) && isDarker(imagenet, unit)) return 'imagenet';
  // A mean may have been subtracted from them.
  const isBytes = every(unit, (low, high) => low < 0.01 && low > -135 && near(high - low, 255, 1));
  // Values that are around 0 already would not be moved.
  const isMoved = every(unit, (low) => low < -SMALLEST_SPAN);
  if (isBytes || (isMoved && isUsual(unit))) return 'unit';
  if (limitsToUnit(responses)) return 'unit';
  return limitsToSigned(responses) ? 'signed' : undefined;
}

/** Whether black is darker than in a smaller range. A limit makes the same of both, and shows no range by what it makes. */
function isDarker({ black }: Response, smaller: Response): boolean {
  const count = black.filter((value, i) => Math.abs(value - (smaller.black[i] ?? value)) > 0.01).length;
  return count >= MOST * black.length;
}

/** Whether each value stays what it is. */
export function keepsValues({ unit }: Responses): boolean {
  return every(unit, (low, high) => near(low, 0, 0.01) && near(high, 1, 0.01)) && isStraight(unit);
}

/** As a model limits its input, whose other values it would not see. */
function limitsToUnit(responses: Responses): boolean {
  return keepsValues(responses) && !isStraight(responses.bytes) && !isStraight(responses.signed);
}

/** Only colors show it: those of ImageNet have a wider range. */
function limitsToSigned(responses: Responses): boolean {
  const isLimit = (low: number, high: number) => near(low, -1, 0.01) && near(high, 1, 0.01);
  const { signed, imagenet } = responses;
  return keepsValues(responses) && every(signed, isLimit) && isStraight(signed) && every(imagenet, isLimit);
}

function isUsual(response: Response): boolean {
  const isSuited = (low: number, high: number) =>
    low >= -LARGEST_VALUE &&
    high <= LARGEST_VALUE &&
    high - low >= SMALLEST_SPAN &&
    high > 0 &&
    low < LARGEST_VALUE / 2;
  return every(response, isSuited) && isStraight(response);
}

/** Means of ImageNet are subtracted, and nothing is divided: the habit of Caffe. */
function isCaffe(bytes: Response): boolean {
  return every(bytes, (low, high) => low <= -90 && low >= -135 && near(high - low, 255, 1));
}

function isMadeOfImagenet(low: number, high: number): boolean {
  return (
    (near(low, 0, 0.01) && (near(high, 1, 0.01) || near(high, 255, 1))) || (near(low, -1, 0.01) && near(high, 1, 0.01))
  );
}

function every(response: Response, test: (low: number, high: number) => boolean): boolean {
  return most(response, (black, _, white) => test(Math.min(black, white), Math.max(black, white)));
}

function isStraight(response: Response): boolean {
  return most(
    response,
    (black, gray, white) => Math.abs(gray - (black + white) / 2) <= MAX_BEND * Math.abs(white - black),
  );
}

function most(
  { black, gray, white }: Response,
  test: (black: number, gray: number, white: number) => boolean,
): boolean {
  if (black.length === 0) return false;
  const count = black.filter((value, i) => test(value, gray[i] ?? Number.NaN, white[i] ?? Number.NaN)).length;
  return count >= MOST * black.length;
}

function near(value: number, other: number, distance: number): boolean {
  return Math.abs(value - other) < distance;
}

export type ChannelOrder = 'rgb' | 'bgr';

/** Means that others calculate from other images are further away. */
const MEAN_DISTANCE = 0.006;

/**
 * Whose mean is subtracted from which channel shows the order in which the channels come.
 * @param zeros what becomes 0, for each channel of the image, as a share of the way from black to white
 */
export function orderOfMeans(zeros: readonly number[]): ChannelOrder | undefined {
  const isMean = (...order: number[]) =>
    zeros.length === 3 && zeros.every((zero, i) => near(zero, mean[order[i] ?? 0] ?? 0, MEAN_DISTANCE));
  if (isMean(0, 1, 2)) return 'rgb';
  return isMean(2, 1, 0) ? 'bgr' : undefined;
}

/** The normalization whose images have a range and an order of channels. */
export function normalizationOfRange(range: ImageRange, order: ChannelOrder | undefined): NormalizationSpec {
  const name = NORMALIZATION_OF_RANGE[range];
  const isFree = name === 'none' || name === 'unit';
  return isFree && order === 'bgr' ? { ...NAMED_NORMALIZATIONS[name], order } : name;
}
