import { expect, test } from 'vitest';
import { median, medianInterval, percentile, ratePerSecond, spreadOf } from './stats.ts';

test('percentiles are measured values, by nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(spreadOf(values)).toEqual({ p50: 50, p95: 95, p99: 99 });
  expect(percentile([7], 0.99)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
});

test('the median of an even number of values is the mean of the middle two', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

test('the rate of answers that come in batches is that of the batches', () => {
  // Eight answers every 400 ms are 20 per second, wherever the measurement begins and ends.
  const times = Array.from({ length: 400 }, (_, index) => Math.floor(index / 8) * 400 + (index % 8));
  for (const from of [0, 3, 5]) expect(ratePerSecond(times.slice(from, -from - 1))).toBeCloseTo(20, 0);
});

test('the interval of a median leaves out what chance explains', () => {
  // Ranks 2 and 9 of 10, and 6 and 15 of 20, as tables of the sign test have them.
  expect(medianInterval([3, 1, 2, 10, 9, 8, 4, 5, 6, 7])).toEqual([2, 9]);
  expect(medianInterval(Array.from({ length: 20 }, (_, i) => i + 1))).toEqual([6, 15]);
  // Too few to leave out any.
  expect(medianInterval([1, 2, 3])).toEqual([1, 3]);
  expect(medianInterval([])).toEqual([Number.NaN, Number.NaN]);
});
