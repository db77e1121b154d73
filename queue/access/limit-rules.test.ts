import { expect, test } from 'vitest';
import { NO_LIMITS, parseLimits } from './limit-rules.ts';

test('rates and quotas are read in their units', () => {
  expect(parseLimits('500ms/s:5000, 20images/min,1000000bytes/h,3600000ms/day,100000images/month', 'tenant')).toEqual({
    limits: [
      { owner: 'tenant', unit: 'machineMs', ratePerSecond: 500, burst: 5_000 },
      { owner: 'tenant', unit: 'requests', ratePerSecond: 20 / 60, burst: 20 },
      { owner: 'tenant', unit: 'bytes', ratePerSecond: 1_000_000 / 3_600, burst: 1_000_000 },
    ],
    quotas: [
      { owner: 'tenant', unit: 'machineMs', limit: 3_600_000, period: 'day' },
      { owner: 'tenant', unit: 'requests', limit: 100_000, period: 'month' },
    ],
  });
  expect(parseLimits('', 'tenant')).toEqual(NO_LIMITS);
  expect(parseLimits('0.5images/s', 'a')!.limits[0]).toMatchObject({ ratePerSecond: 0.5, burst: 1 });
});

test.each([
  'many',
  '5',
  '5images',
  '5images/s:',
  '5images/s:0',
  '0images/s',
  '-1images/s',
  '5photos/s',
  '5images/week',
  '5images/day:5',
  '1images/s,2images/min',
  '1images/day,2images/day',
  '1e9images/s',
])('%s is refused', (text) => {
  expect(parseLimits(text, 'tenant')).toBeUndefined();
});
