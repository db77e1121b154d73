import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startDeadline } from './deadline.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a deadline is reached after its time, and not once it is cleared', () => {
  const onLimit = vi.fn();
  startDeadline(60_000, onLimit);
  startDeadline(60_000, onLimit).clear();
  vi.advanceTimersByTime(59_999);
  expect(onLimit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onLimit).toHaveBeenCalledOnce();
});

test('a limit of many days is not reached at once', () => {
  const onLimit = vi.fn();
  const deadline = startDeadline(2 ** 40, onLimit);
  vi.advanceTimersByTime(60 * 60 * 1_000);
  expect(onLimit).not.toHaveBeenCalled();
  deadline.clear();
});
