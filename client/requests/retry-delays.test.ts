import { expect, test } from 'vitest';
import { reconnectDelayMs, returnDelayMs } from '../subscriptions/reconnect-delays.ts';
import { requestDelayMs } from './retry-delays.ts';

/** The shortest and the longest of many. */
function rangeOf(delay: () => number): [number, number] {
  const all = Array.from({ length: 1_000 }, delay);
  return [Math.min(...all), Math.max(...all)];
}

test.each([
  ['a request', requestDelayMs, 5_000],
  ['a WebSocket', reconnectDelayMs, 4_000],
])(
  'the wait before %s is tried again doubles up to a limit, and differs between clients',
  (_what, delayMs, longestMs) => {
    for (const [failures, fullMs] of [
      [0, 200],
      [1, 400],
      [3, 1_600],
      [10, longestMs],
      [2_000, longestMs],
    ] as const) {
      const [shortest, longest] = rangeOf(() => delayMs(failures));
      expect(shortest).toBeGreaterThanOrEqual(fullMs / 2);
      expect(shortest).toBeLessThan(fullMs * 0.6);
      expect(longest).toBeLessThanOrEqual(fullMs);
      expect(longest).toBeGreaterThan(fullMs * 0.9);
    }
  },
);

test('a WebSocket that did not open is tried again after 4 s, and at least once per minute', () => {
  expect([0, 1, 2, 3, 4, 5, 2_000].map(returnDelayMs)).toEqual([4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});
