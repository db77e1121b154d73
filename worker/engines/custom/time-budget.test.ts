import { expect, test } from 'vitest';
import { callWithin } from './time-budget.ts';

test('gives what the function returns, and rethrows what it throws', () => {
  expect(callWithin(1_000, () => 5)).toBe(5);
  expect(() =>
    callWithin(1_000, () => {
      throw new TypeError('no');
    }),
  ).toThrow(TypeError);
});

test.each([
  [
    'a loop',
    () => {
      for (;;);
    },
  ],
  ['a regular expression', () => /^(a+)+$/.test(`${'a'.repeat(40)}b`)],
])('interrupts %s that does not end, and works again after it', (_what, call) => {
  expect(() => callWithin(20, call)).toThrow('it took longer than 20 ms');
  expect(callWithin(1_000, () => 'still here')).toBe('still here');
});
