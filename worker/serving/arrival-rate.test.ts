import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ArrivalRate } from './arrival-rate.ts';

const NEIGHBOR_MS = 10;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function arrive(arrivals: ArrivalRate, gapsMs: readonly number[], count = 1): void {
  for (const gapMs of gapsMs) {
    vi.advanceTimersByTime(gapMs);
    arrivals.note(count);
  }
}

test('more are expected while jobs come close together, and not when they have become rare', () => {
  const arrivals = new ArrivalRate(NEIGHBOR_MS);
  expect(arrivals.mayMoreCome()).toBe(false);
  arrive(arrivals, Array(10).fill(NEIGHBOR_MS / 2));
  expect(arrivals.mayMoreCome()).toBe(true);
  arrive(arrivals, [4 * NEIGHBOR_MS, 4 * NEIGHBOR_MS]);
  expect(arrivals.mayMoreCome()).toBe(false);
});

test('a burst after a quiet hour is noticed with its first jobs', () => {
  const arrivals = new ArrivalRate(NEIGHBOR_MS);
  arrive(arrivals, [0, 3_600_000]);
  arrive(arrivals, Array(6).fill(1));
  expect(arrivals.mayMoreCome()).toBe(true);
});

test('a claim that found nothing says nothing about the time between jobs', () => {
  const arrivals = new ArrivalRate(NEIGHBOR_MS);
  for (let jobs = 0; jobs < 20; jobs++) {
    arrive(arrivals, Array(8).fill(NEIGHBOR_MS / 2), 0);
    arrive(arrivals, [NEIGHBOR_MS / 2]);
  }
  expect(arrivals.mayMoreCome()).toBe(false);
});
