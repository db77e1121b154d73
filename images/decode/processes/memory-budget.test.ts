import { expect, test } from 'vitest';
import { createMemoryBudget } from './memory-budget.ts';

const { signal } = new AbortController();

test('requests wait until there is memory, urgent ones go first, and aborted ones leave the queue', async () => {
  const budget = createMemoryBudget(100);
  const order: string[] = [];
  const reserve = (name: string, bytes: number, isUrgent: boolean, by = signal) =>
    budget.reserve(bytes, { isUrgent, signal: by }).then((release) => {
      order.push(name);
      return release;
    });
  const first = await reserve('first', 80, false);
  const leaving = new AbortController();
  const left = reserve('left', 90, false, leaving.signal);
  const large = reserve('large', 90, false);
  const urgent = reserve('urgent', 60, true);
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  expect(order).toEqual(['first']);
  first();
  const releaseUrgent = await urgent;
  expect(budget.usedBytes()).toBe(60);
  releaseUrgent();
  (await large)();
  expect(order).toEqual(['first', 'urgent', 'large']);
  expect(budget.usedBytes()).toBe(0);
});

test('a request may take all memory, and one that leaves makes way for smaller ones behind it', async () => {
  const budget = createMemoryBudget(100);
  (await budget.reserve(100, { isUrgent: true, signal }))();
  await expect(budget.reserve(1, { isUrgent: true, signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
    'gone',
  );
  const served = new AbortController();
  const first = await budget.reserve(80, { isUrgent: false, signal: served.signal });
  const leaving = new AbortController();
  const left = budget.reserve(90, { isUrgent: false, signal: leaving.signal });
  const small = budget.reserve(20, { isUrgent: false, signal });
  const last = budget.reserve(100, { isUrgent: false, signal });
  // One that was served has left the queue, and takes nobody with it.
  served.abort();
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  (await small)();
  first();
  (await last)();
  expect(budget.usedBytes()).toBe(0);
});

test('a request for more than the whole budget is an error of the caller', async () => {
  await expect(createMemoryBudget(10).reserve(11, { isUrgent: true, signal })).rejects.toThrow(RangeError);
});
