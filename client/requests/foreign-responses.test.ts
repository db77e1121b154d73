import { afterEach, expect, test, vi } from 'vitest';
import { errorOfStatus, readRetryAfter } from './foreign-responses.ts';

afterEach(() => vi.useRealTimers());

test.each([
  [401, 'UNAUTHENTICATED', false],
  [403, 'FORBIDDEN', false],
  [404, 'BAD_RESPONSE', false],
  [407, 'UNAUTHENTICATED', false],
  [408, 'REQUEST_TIMEOUT', true],
  [413, 'REQUEST_TOO_LARGE', false],
  [429, 'RATE_LIMITED', true],
  [500, 'UNAVAILABLE', true],
  [502, 'UNAVAILABLE', true],
  [503, 'UNAVAILABLE', true],
  [504, 'UNAVAILABLE', true],
])('HTTP %i from a proxy is %s, retried: %s', (status, code, retryable) => {
  const response = new Response('<html>', { status, headers: { 'retry-after': '3' } });
  expect(errorOfStatus(response)).toMatchObject({ code, retryable, httpStatus: status, retryAfterMs: 3_000 });
});

test('Retry-After is a number of seconds or a date, never negative, and otherwise ignored', () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 12, 0, 0) });
  const read = (value?: string) =>
    readRetryAfter(new Response('', value === undefined ? {} : { headers: { 'retry-after': value } }));
  expect(read('7')).toBe(7_000);
  expect(read('Thu, 01 Jan 2026 12:00:05 GMT')).toBe(5_000);
  expect(read('Thu, 01 Jan 2026 11:00:00 GMT')).toBe(0);
  expect(read('soon')).toBeUndefined();
  expect(read()).toBeUndefined();
});
