import { expect, test } from 'vitest';
import { describeStatistics, readTrainedValues } from './trained-values.ts';

/** Of ImageNet's images, in 0..1. */
const [MEAN, DEVIATION] = [
  [0.485, 0.456, 0.406],
  [0.276, 0.269, 0.282],
];
const NORMALIZER = [0.229, 0.224, 0.225];

test.each([
  ['bytes', (m: number) => m * 255, (d: number) => d * 255, 'none', true],
  ['0..1', (m: number) => m, (d: number) => d, 'unit', true],
  ['-1..1', (m: number) => m * 2 - 1, (d: number) => d * 2, 'tf', false],
  ['bytes minus their mean', () => 0.4, (d: number) => d * 255, 'caffe', false],
  [
    "values with ImageNet's mean and deviation",
    () => 0.01,
    (d: number, i: number) => d / (NORMALIZER[i] ?? 1),
    'torch',
    false,
  ],
] as const)('the statistics of %s are recognized', (_, meanOf, deviationOf, normalization, isCertain) => {
  const statistics = { mean: MEAN.map(meanOf), deviation: DEVIATION.map(deviationOf) };
  expect(readTrainedValues(statistics)).toEqual({ normalization, isCertain });
});

test('values beyond those of -1..1 were divided by a deviation', () => {
  const statistics = { mean: [0, 0.15, 0.4], deviation: [1.2, 1.3, 1.2] };
  expect(readTrainedValues(statistics)).toEqual({ normalization: 'torch', isCertain: false });
});

test('bright images of 0..1 may also be of -1..1', () => {
  const bright = { mean: [0.8, 0.8, 0.8], deviation: [0.3, 0.3, 0.3] };
  expect(readTrainedValues(bright)).toEqual({ normalization: 'unit', isCertain: false });
  expect(describeStatistics(bright)).toBe('mean 0.8 and deviation 0.3');
});

test('gray has no mean of ImageNet', () => {
  expect(readTrainedValues({ mean: [0], deviation: [1] })).toEqual({ normalization: 'tf', isCertain: false });
});
