import type { NormalizationSpec } from '../spec/input-spec.ts';

/** Per channel. */
export interface Statistics {
  mean: readonly number[];
  deviation: readonly number[];
}

/** Images vary by more if they are bytes, and by less if they are not. */
const BYTES_DEVIATION = 12;
/** A brighter mean of 0..1 may also be one of -1..1. */
const BRIGHTEST_MEAN = 0.7;
/** Values that a mean was subtracted from. */
const CENTERED_MEAN = 0.25;
/** Values around 0 vary by more than half of -1..1 if they were divided by their deviation. */
const DIVIDED_DEVIATION = 0.75;

/**
 * Which values a model was trained on, as the statistics in its first batch normalization show. Bytes and 0..1 can be recognized. Values around
 * 0 cannot: they do not show what was subtracted and divided by.
 */
export function readTrainedValues({ mean, deviation }: Statistics): {
  normalization: NormalizationSpec;
  isCertain: boolean;
} {
  const every = (test: (mean: number, deviation: number) => boolean) =>
    mean.every((value, channel) => test(value, deviation[deviation.length === 1 ? 0 : channel] ?? Number.NaN));
  if (every((_, d) => d > BYTES_DEVIATION)) {
    const isCentered = mean.length === 3 && every((m) => m < BYTES_DEVIATION);
    return { normalization: isCentered ? 'caffe' : 'none', isCertain: every((m) => m > BYTES_DEVIATION) };
  }
  // No values from 0 to 1 with that mean have a larger variance.
  if (every((m, d) => m > 0 && m < 1 && d * d <= m * (1 - m)))
    return { normalization: 'unit', isCertain: every((m) => m < BRIGHTEST_MEAN) };
  // Nor have values from -1 to 1.
  const isSigned = every((m, d) => d * d <= 1 - m * m);
  const isDivided =
    mean.length === 3 && (!isSigned || every((m, d) => Math.abs(m) < CENTERED_MEAN && d > DIVIDED_DEVIATION));
  return { normalization: isDivided ? 'torch' : 'tf', isCertain: false };
}

/** For people. */
export function describeStatistics({ mean, deviation }: Statistics): string {
  const round = (values: readonly number[]) =>
    [...new Set(values.map((value) => Number(value.toPrecision(2))))].join('/');
  return `mean ${round(mean)} and deviation ${round(deviation)}`;
}
