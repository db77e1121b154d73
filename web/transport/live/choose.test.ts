import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createChooser, type Way } from './choose.ts';

let ways: Way[];
const create = () => createChooser((way) => ways.push(way));

beforeEach(() => {
  vi.useFakeTimers();
  ways = [];
});

afterEach(() => {
  vi.useRealTimers();
});

test('a WebSocket that is refused once is tried again, and left after the second time', () => {
  const chooser = create();
  chooser.socketClosed();
  expect(chooser.getWay()).toBe('socket');
  chooser.socketClosed();
  expect(ways).toEqual(['events']);
});

test('a WebSocket that says nothing is left after five seconds', () => {
  create();
  vi.advanceTimersByTime(4_999);
  expect(ways).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ways).toEqual(['events']);
});

test('a WebSocket that was open is waited for', () => {
  const chooser = create();
  chooser.socketOpened();
  for (let i = 0; i < 10; i++) chooser.socketClosed();
  vi.advanceTimersByTime(600_000);
  expect(ways).toEqual([]);
});

test('streams that are held back lead to polling, from event streams only', () => {
  const chooser = create();
  chooser.streamWithheld();
  expect(ways).toEqual([]);
  vi.advanceTimersByTime(5_000);
  chooser.streamWithheld();
  chooser.streamWithheld();
  expect(ways).toEqual(['events', 'polling']);
});

test.each(['events', 'polling'])(
  'a WebSocket that opens later ends %s, and further failures do not change the way',
  (from) => {
    const chooser = create();
    vi.advanceTimersByTime(5_000);
    if (from === 'polling') chooser.streamWithheld();
    for (let i = 0; i < 10; i++) chooser.socketClosed();
    expect(chooser.getWay()).toBe(from);
    chooser.socketOpened();
    expect(chooser.getWay()).toBe('socket');
  },
);

test('a server that does not let the page in is asked in no other way', () => {
  const chooser = create();
  chooser.stop();
  chooser.socketClosed();
  chooser.socketClosed();
  vi.advanceTimersByTime(600_000);
  expect(ways).toEqual([]);
});

test('the waits for the WebSocket grow to four seconds, and to a minute beside a fallback', () => {
  const chooser = create();
  expect(chooser.getSocketWaitMs(0)).toBeLessThanOrEqual(200);
  expect(chooser.getSocketWaitMs(100)).toBeLessThanOrEqual(4_000);
  expect(chooser.getSocketWaitMs(100)).toBeGreaterThanOrEqual(2_000);
  vi.advanceTimersByTime(5_000);
  const waits = Array.from({ length: 7 }, () => chooser.getSocketWaitMs(3));
  expect(waits).toEqual([4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});
