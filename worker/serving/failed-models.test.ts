import { beforeEach, expect, test } from 'vitest';
import { FailedModels } from './failed-models.ts';

let nowMs: number;
let failed: FailedModels;
beforeEach(() => {
  nowMs = 0;
  failed = new FailedModels(() => nowMs);
});

/** Looks every ten seconds for an hour, as a worker does. Returns the times of the attempts in seconds, of which each fails. */
function lookForAnHour(signature: string): number[] {
  const attempts: number[] = [];
  for (; nowMs < 3_600_000; nowMs += 10_000) {
    if (!failed.mayRetry('model', signature)) continue;
    attempts.push(nowMs / 1000);
    failed.note('model', signature, 'broken');
  }
  return attempts;
}

test('a model that cannot be served is tried ever more rarely, but at least every five minutes', () => {
  const attempts = lookForAnHour('unchanged');
  expect(attempts.slice(0, 8)).toEqual([0, 10, 30, 70, 150, 310, 610, 910]);
  expect(attempts).toHaveLength(16);
});

test('it is tried at once when its files have changed', () => {
  lookForAnHour('unchanged');
  failed.note('model', 'unchanged', 'broken');
  expect(failed.mayRetry('model', 'unchanged')).toBe(false);
  expect(failed.mayRetry('model', 'changed')).toBe(true);
  failed.note('model', 'changed', 'broken');
  nowMs += 10_000;
  expect(failed.mayRetry('model', 'changed')).toBe(true);
});

test('a reason is new if it was another one before, or the model was removed or served in between', () => {
  expect(failed.note('model', 'a', 'broken')).toBe(true);
  expect(failed.note('model', 'b', 'broken')).toBe(false);
  expect(failed.note('model', 'b', 'missing')).toBe(true);
  failed.keep(['model']);
  expect(failed.note('model', 'b', 'missing')).toBe(false);
  failed.keep(['other']);
  expect(failed.note('model', 'b', 'missing')).toBe(true);
  failed.remove('model');
  expect(failed.note('model', 'b', 'missing')).toBe(true);
});
