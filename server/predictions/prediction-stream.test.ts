import type { PredictionState } from '@inferql/queue/contract';
import { afterEach, expect, test, vi } from 'vitest';
import type { PredictionListener } from './prediction-listener.ts';
import { openResultWaiter } from './prediction-stream.ts';

const DRAIN_MS = 100;

afterEach(() => {
  vi.useRealTimers();
});

const queued: PredictionState = {
  id: 'tiny.AAAAAAAAAAAAAAAAAAAAAA',
  revision: 1,
  status: 'QUEUED',
  model: 'tiny',
  tenant: 'anonymous',
  version: 'aaaaaaaaaaaa',
  priority: 'NORMAL',
  jobId: 'tiny.AAAAAAAAAAAAAAAAAAAAAA',
  attempts: 0,
  createdAtMs: 0,
  deadlineMs: 60_000,
  cached: false,
};

function fakeTracker(latest?: PredictionState) {
  const listeners: PredictionListener[] = [];
  return {
    listeners,
    addListener: (_id: string, listener: PredictionListener) => listeners.push(listener),
    removeListener: () => undefined,
    latest: () => latest,
  };
}

test('a wait whose time ran out before it began, because of a shutdown or the decoder, ends at once', async () => {
  vi.useFakeTimers();
  const tracker = fakeTracker();
  const waiter = openResultWaiter(tracker, queued.id, DRAIN_MS);
  tracker.listeners[0]!.onDrain();
  vi.advanceTimersByTime(DRAIN_MS);
  tracker.listeners[0]!.onState(queued, 1);
  await expect(waiter.wait(60_000, undefined)).resolves.toEqual(queued);
});

test('a wait for a prediction that others follow already knows its state', async () => {
  const open = (state: PredictionState) => openResultWaiter(fakeTracker(state), queued.id, DRAIN_MS);
  await expect(open(queued).wait(1, undefined)).resolves.toEqual(queued);
  const canceled: PredictionState = { ...queued, status: 'CANCELED', revision: 2 };
  await expect(open(canceled).wait(60_000, undefined)).resolves.toEqual(canceled);
});

test('a wait whose client has left before it began ends at once', async () => {
  const waiter = openResultWaiter(fakeTracker(queued), queued.id, DRAIN_MS);
  await expect(waiter.wait(60_000, AbortSignal.abort())).resolves.toEqual(queued);
});
