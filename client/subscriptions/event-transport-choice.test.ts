import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createEventTransportChoice, type EventTransport } from './event-transport-choice.ts';

let transports: EventTransport[];
const create = () => {
  const choice = createEventTransportChoice((transport) => transports.push(transport));
  choice.socketStarted();
  return choice;
};

beforeEach(() => {
  vi.useFakeTimers();
  transports = [];
});

afterEach(() => {
  vi.useRealTimers();
});

test('a WebSocket that is refused once is retried, and abandoned after the second refusal', () => {
  const choice = create();
  choice.socketClosed();
  expect(choice.get()).toBe('websocket');
  choice.socketClosed();
  expect(transports).toEqual(['event-stream']);
});

test('a silent WebSocket is abandoned after five seconds', () => {
  create();
  vi.advanceTimersByTime(4_999);
  expect(transports).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(transports).toEqual(['event-stream']);
});

test('a subscription that is added meanwhile does not prolong the five seconds', () => {
  const choice = create();
  for (let i = 0; i < 4; i++) {
    vi.advanceTimersByTime(1_000);
    choice.socketStarted();
  }
  vi.advanceTimersByTime(1_000);
  expect(transports).toEqual(['event-stream']);
});

test('after a WebSocket was open, its return is awaited', () => {
  const choice = create();
  choice.socketOpened();
  for (let i = 0; i < 10; i++) choice.socketClosed();
  vi.advanceTimersByTime(600_000);
  expect(transports).toEqual([]);
});

test('streams that are held back lead to polling, but only from event streams', () => {
  const choice = create();
  choice.streamWithheld();
  expect(transports).toEqual([]);
  vi.advanceTimersByTime(5_000);
  choice.streamWithheld();
  choice.streamWithheld();
  expect(transports).toEqual(['event-stream', 'polling']);
});

test.each(['event-stream', 'polling'])(
  'a WebSocket that opens later ends %s, and further failures do not change the transport',
  (from) => {
    const choice = create();
    vi.advanceTimersByTime(5_000);
    if (from === 'polling') choice.streamWithheld();
    for (let i = 0; i < 10; i++) choice.socketClosed();
    expect(choice.get()).toBe(from);
    choice.socketOpened();
    expect(choice.get()).toBe('websocket');
  },
);

test('time does not count while nothing is subscribed', () => {
  const choice = create();
  vi.advanceTimersByTime(4_000);
  choice.pause();
  vi.advanceTimersByTime(600_000);
  expect(transports).toEqual([]);
  choice.socketStarted();
  vi.advanceTimersByTime(5_000);
  expect(transports).toEqual(['event-stream']);
});

test('if WebSockets do not exist, there is no wait for one', () => {
  createEventTransportChoice((transport) => transports.push(transport)).socketMissing();
  expect(transports).toEqual(['event-stream']);
});

test('the waits for the WebSocket grow to four seconds, and to a minute while a fallback works', () => {
  const choice = create();
  expect(choice.getSocketWaitMs(0)).toBeLessThanOrEqual(200);
  expect(choice.getSocketWaitMs(100)).toBeLessThanOrEqual(4_000);
  expect(choice.getSocketWaitMs(100)).toBeGreaterThanOrEqual(2_000);
  vi.advanceTimersByTime(5_000);
  const waits = Array.from({ length: 7 }, () => choice.getSocketWaitMs(3));
  expect(waits).toEqual([4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});
