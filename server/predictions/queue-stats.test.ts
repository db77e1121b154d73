import type { QueueState } from '@inferql/queue/contract';
import { afterEach, expect, test, vi } from 'vitest';
import { QueueStatsReader } from './queue-stats.ts';

const operator = { tenant: 'ops', isOperator: true, mayUse: () => true };

afterEach(() => {
  vi.useRealTimers();
});

test('a watcher that came while the queue was in another state hears of its return to the state of the others', async () => {
  vi.useFakeTimers();
  const queue = { model: 'tiny', waiting: 0, tenants: new Map(), running: new Map() } as unknown as QueueState;
  const modelCache = { findModel: async () => ({ name: 'tiny' }), readQueue: async () => ({ ...queue }) };
  const throughput = { read: () => ({ ratePerSecond: undefined, latencyMs: undefined }) };
  const reader = new QueueStatsReader({ modelCache, throughput } as unknown as ConstructorParameters<
    typeof QueueStatsReader
  >[0]);
  const first = await reader.watch('tiny', operator);
  expect((await first.next()).value).toMatchObject({ waiting: 0 });
  queue.waiting = 1;
  const second = await reader.watch('tiny', operator);
  expect((await second.next()).value).toMatchObject({ waiting: 1 });
  queue.waiting = 0;
  const next = second.next();
  await vi.advanceTimersByTimeAsync(1_000);
  await expect(Promise.race([next, Promise.resolve('nothing')])).resolves.toMatchObject({ value: { waiting: 0 } });
  for (const stream of [first, second]) await stream.return();
});
