import { expect, test } from 'vitest';
import { timeLimitMs } from './time-limits.ts';

const usual = { bytes: 20e6, pixels: 224 * 224 };

test('a small model has about a minute, and one of 500 MB more than nine', () => {
  expect(timeLimitMs({ bytes: 20_000, pixels: 32 * 32 }) / 60_000).toBeCloseTo(1, 1);
  expect(timeLimitMs({ ...usual, bytes: 500e6 }) / 60_000).toBeGreaterThan(9);
});

test('larger images and slower engines have more time', () => {
  expect(timeLimitMs({ ...usual, pixels: 600 * 600 })).toBeGreaterThan(2 * timeLimitMs(usual));
  expect(timeLimitMs({ ...usual, isSlowEngine: true })).toBeGreaterThan(2 * timeLimitMs(usual));
});
