import { expect, test } from 'vitest';
import { createRunTimeEstimate } from './run-time-estimate.ts';

test('a run is expected to take what runs of its size took, else the average per image', () => {
  const estimate = createRunTimeEstimate();
  expect([estimate.imageMs(), estimate.expectedMs(8)]).toEqual([undefined, 0]);
  estimate.note(4, 40);
  expect([estimate.imageMs(), estimate.expectedMs(4), estimate.expectedMs(2)]).toEqual([10, 40, 20]);
  // A single slow run changes the average only a little.
  estimate.note(4, 80);
  expect([estimate.imageMs(), estimate.expectedMs(4)]).toEqual([12, 48]);
});
