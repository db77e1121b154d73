import type { QueueState, ServedModel } from '@inferql/queue/contract';
import { expect, test } from 'vitest';
import { createPressure } from './admission-control.ts';

const MODEL = {
  name: 'tiny',
  input: { width: 8, height: 8, channels: 3, kernel: 'linear' },
  queue: { maxQueueSize: 10, maxQueuedBytes: 1_000_000 },
} as ServedModel;

/** A queue with this many waiting, and a count of the reads. */
function startQueue(waiting: number) {
  const queue = {
    waiting,
    queuedBytes: 0,
    ratePerSecond: 20 as number | undefined,
    looks: 0,
    tenants: {} as Record<string, number>,
  };
  const pressure = createPressure({
    readQueue: async () => {
      queue.looks++;
      return queue as unknown as QueueState;
    },
  });
  return { queue, pressure };
}

const codeOf = (error: unknown) => (error as { code?: string }).code;

test('nothing is looked at before a queue was full', async () => {
  const { queue, pressure } = startQueue(10);
  for (let i = 0; i < 100; i++) await pressure.enter(MODEL);
  expect(queue.looks).toBe(0);
});

test('after a refusal only as many are let through as there are places', async () => {
  const { queue, pressure } = startQueue(10);
  await pressure.refuse(MODEL);
  await expect(pressure.enter(MODEL)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  const later = startQueue(7);
  await later.pressure.refuse(MODEL);
  const entered = await Promise.allSettled(Array.from({ length: 50 }, () => later.pressure.enter(MODEL)));
  expect(entered.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  expect(entered.filter((entry) => entry.status === 'rejected' && codeOf(entry.reason) === 'QUEUE_FULL')).toHaveLength(
    47,
  );
  expect(later.queue.looks).toBeLessThan(3);
  expect(queue.looks).toBe(1);
});

test('bytes count as places do', async () => {
  const { queue, pressure } = startQueue(0);
  queue.queuedBytes = 1_000_000 - 8 * 8 * 3;
  await pressure.refuse(MODEL);
  await pressure.enter(MODEL);
  await expect(pressure.enter(MODEL)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});

test.each([
  [1_000, 20, 25_000],
  [10_000, 20, 60_000],
  [4, 20, 1_000],
  [4, undefined, 5_000],
])('%i waiting at %s a second: try again in %i ms', async (waiting, ratePerSecond, retryAfterMs) => {
  const { queue, pressure } = startQueue(waiting);
  queue.ratePerSecond = ratePerSecond;
  expect(await pressure.refuse(MODEL)).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs });
});

test('a tenant that holds its part is refused before its images are decoded, and no one else is', async () => {
  const { queue, pressure } = startQueue(8);
  queue.tenants.flood = 8;
  const flood = { tenant: 'flood', queueShare: 0.8 };
  await pressure.refuse(MODEL, flood);
  await expect(pressure.enter(MODEL, flood)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  await pressure.enter(MODEL, { tenant: 'other', queueShare: 0.8 });
  // A tenant that was refused when the queue was full gets its share of what became free.
  await pressure.refuse(MODEL, { tenant: 'third', queueShare: 0.8 });
  await pressure.enter(MODEL, { tenant: 'third', queueShare: 0.8 });
});
