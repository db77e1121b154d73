import { expect, test } from 'vitest';
import { readLimitList } from './limit-list.ts';

test('items are read with their unit, period and burst', () => {
  expect(readLimitList('500ms/s:5000, 0.5images/min,1000bytes/day')).toEqual([
    { amount: 500, unit: 'ms', period: 's', burst: 5_000 },
    { amount: 0.5, unit: 'images', period: 'min', burst: undefined },
    { amount: 1_000, unit: 'bytes', period: 'day', burst: undefined },
  ]);
  expect(readLimitList('')).toEqual([]);
});
