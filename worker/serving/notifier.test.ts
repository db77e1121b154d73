import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createNotifier } from './notifier.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a notification ends every wait, and leaves no timer of one that had a limit', async () => {
  const notifier = createNotifier();
  const waits = [notifier.wait(), notifier.wait(60_000)];
  expect(vi.getTimerCount()).toBe(1);
  notifier.notify();
  await Promise.all(waits);
  expect(vi.getTimerCount()).toBe(0);
});

test('a wait ends at its limit', async () => {
  const wait = createNotifier().wait(60_000);
  await vi.advanceTimersByTimeAsync(60_000);
  await wait;
});
