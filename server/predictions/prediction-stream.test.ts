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

test('a wait whose time ran out before it began, because of a shutdown or the decoder, ends at once', async () => {
  vi.useFakeTimers();
  const listeners: PredictionListener[] = [];
  const tracker = {
    addListener: (_id: string, listener: PredictionListener) => listeners.push(listener),
    removeListener: () => undefined,
  };
  const waiter = openResultWaiter(tracker, queued.id, DRAIN_MS);
  listeners[0]!.onDrain();
  vi.advanceTimersByTime(DRAIN_MS);
  listeners[0]!.onState(queued, 1);
  await expect(waiter.wait(60_000, undefined)).resolves.toEqual(queued);
});
