import { expect, test } from 'vitest';
import { HeldJobs } from './held-jobs.ts';

test('jobs of two streams that have the same entry id are both held until each is removed', () => {
  const high = { stream: 'high', entryId: '1-0' };
  const low = { stream: 'low', entryId: '1-0' };
  const held = new HeldJobs();
  expect(held.add([high, low])).toEqual([high, low]);
  held.noteAttempt(low, 2);
  held.remove([high]);
  expect(held.entries()).toEqual([low]);
  expect([held.attemptOf(high), held.attemptOf(low)]).toEqual([0, 2]);
});

test('a job that is held already is not new, and keeps its attempt', () => {
  const job = { stream: 'high', entryId: '1-0' };
  const held = new HeldJobs();
  held.add([job]);
  held.noteAttempt(job, 1);
  expect(held.add([job])).toEqual([]);
  expect(held.attemptOf(job)).toBe(1);
});

test('each removal is reported', () => {
  const sizes: number[] = [];
  const held = new HeldJobs();
  held.onRemoved(() => sizes.push(held.size));
  held.add([
    { stream: 'high', entryId: '1-0' },
    { stream: 'high', entryId: '2-0' },
  ]);
  held.remove([{ stream: 'high', entryId: '1-0' }]);
  held.remove([{ stream: 'high', entryId: '2-0' }]);
  expect(sizes).toEqual([1, 0]);
});
