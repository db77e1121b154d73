import type { QueueState, ServedModel } from '@inferql/queue/contract';
import { expect, test } from 'vitest';
import { createLoadShedder } from './load-shedder.ts';

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
    capacityPerSecond: 20 as number | undefined,
    looks: 0,
    tenants: new Map<string, number>(),
  };
  const loadShedder = createLoadShedder({
    readQueue: async () => {
      queue.looks++;
      return queue as unknown as QueueState;
    },
  });
  return { queue, loadShedder };
}

const codeOf = (error: unknown) => (error as { code?: string }).code;

test('nothing is read before a queue was full', async () => {
  const { queue, loadShedder } = startQueue(10);
  for (let i = 0; i < 100; i++) await loadShedder.reserveSlot(MODEL);
  expect(queue.looks).toBe(0);
});

test('after a refusal only as many are admitted as there are places', async () => {
  const { queue, loadShedder } = startQueue(10);
  await loadShedder.onQueueFull(MODEL);
  await expect(loadShedder.reserveSlot(MODEL)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  const later = startQueue(7);
  await later.loadShedder.onQueueFull(MODEL);
  const entered = await Promise.allSettled(Array.from({ length: 50 }, () => later.loadShedder.reserveSlot(MODEL)));
  expect(entered.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  expect(entered.filter((entry) => entry.status === 'rejected' && codeOf(entry.reason) === 'QUEUE_FULL')).toHaveLength(
    47,
  );
  expect(later.queue.looks).toBeLessThan(3);
  expect(queue.looks).toBe(1);
});

test('bytes count like places', async () => {
  const { queue, loadShedder } = startQueue(0);
  queue.queuedBytes = 1_000_000 - 8 * 8 * 3;
  await loadShedder.onQueueFull(MODEL);
  await loadShedder.reserveSlot(MODEL);
  await expect(loadShedder.reserveSlot(MODEL)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});

test.each([
  [1_000, 20, 25_000],
  [10_000, 20, 60_000],
  [4, 20, 1_000],
  [4, undefined, 5_000],
])('%i waiting at %s per second: retry in %i ms', async (waiting, capacityPerSecond, retryAfterMs) => {
  const { queue, loadShedder } = startQueue(waiting);
  queue.capacityPerSecond = capacityPerSecond;
  expect(await loadShedder.onQueueFull(MODEL)).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs });
});

test('a tenant that holds its share is refused before its images are decoded, and no one else is', async () => {
  const { queue, loadShedder } = startQueue(8);
  queue.tenants.set('flood', 8);
  const flood = { tenant: 'flood', queueShare: 0.8 };
  await loadShedder.onQueueFull(MODEL, flood);
  await expect(loadShedder.reserveSlot(MODEL, flood)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  await loadShedder.reserveSlot(MODEL, { tenant: 'other', queueShare: 0.8 });
  // A tenant that was refused when the queue was full gets its share of what became free.
  await loadShedder.onQueueFull(MODEL, { tenant: 'third', queueShare: 0.8 });
  await loadShedder.reserveSlot(MODEL, { tenant: 'third', queueShare: 0.8 });
});

test('overloads of any number of tenants are bounded, and the latest are kept', async () => {
  const { queue, loadShedder } = startQueue(10);
  const share = (i: number) => ({ tenant: `tenant ${i}`, queueShare: 1 });
  for (let i = 0; i < 3_000; i++) await loadShedder.onQueueFull(MODEL, share(i));
  const looks = queue.looks;
  for (const i of [2_000, 2_999])
    await expect(loadShedder.reserveSlot(MODEL, share(i))).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  // Nothing is known of the oldest: the queue decides, after their images are decoded.
  for (let i = 0; i < 2_000; i++) await loadShedder.reserveSlot(MODEL, share(i));
  expect(queue.looks - looks).toBeLessThanOrEqual(2);
});
