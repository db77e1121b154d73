import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSharedLine } from './upload-time-limit.ts';

const BASE_MS = 1_000;
/** Of 32,000 bytes at the slowest rate. */
const EACH_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('an upload may take as long as those that share its line, together', () => {
  const line = createSharedLine(BASE_MS);
  const first = line.begin(32_000);
  expect(first.leftMs()).toBe(BASE_MS + EACH_MS);
  vi.advanceTimersByTime(500);
  const others = [line.begin(32_000), line.begin(32_000)];
  expect(first.leftMs()).toBe(BASE_MS + 3 * EACH_MS - 500);
  for (const other of others) other.end();
  expect(first.leftMs()).toBe(BASE_MS + 3 * EACH_MS - 500);
  first.end();
  expect(line.begin(32_000).leftMs()).toBe(BASE_MS + EACH_MS);
});

test('one that is stuck is not given more and more time by those that follow each other', () => {
  const line = createSharedLine(BASE_MS);
  const stuck = line.begin(32_000);
  for (let i = 0; i < 50; i++) {
    const other = line.begin(32_000);
    vi.advanceTimersByTime(100);
    other.end();
    other.end();
  }
  expect(stuck.leftMs()).toBeLessThan(0);
  expect(line.begin(0).leftMs()).toBe(BASE_MS + EACH_MS);
});

test('what was sent restarts the time', () => {
  const upload = createSharedLine(BASE_MS).begin(32_000);
  vi.advanceTimersByTime(1_500);
  upload.advance();
  expect(upload.leftMs()).toBe(BASE_MS + EACH_MS);
});
