import { expect, test } from 'vitest';
import { createSemaphore } from './semaphore.ts';

test('callers proceed in the order in which they came, and each lets the next one proceed', async () => {
  const semaphore = createSemaphore(2);
  const { signal } = new AbortController();
  const first = await semaphore.acquire(signal);
  await semaphore.acquire(signal);
  const order: string[] = [];
  const third = semaphore.acquire(signal).then(() => order.push('third'));
  const gone = new AbortController();
  const fourth = semaphore.acquire(gone.signal);
  const fifth = semaphore.acquire(signal).then(() => order.push('fifth'));
  gone.abort(new Error('left'));
  await expect(fourth).rejects.toThrow('left');
  first();
  first();
  await third;
  expect(order).toEqual(['third']);
  (await semaphore.acquire(AbortSignal.timeout(0)).catch(() => undefined))?.();
  expect(order).toEqual(['third']);
  void fifth;
});
