import { expect, test } from 'vitest';
import { createPriorityScheduler, usePlaces } from './priority-scheduler.ts';

test('lanes share places by their weights, also if batches are of one', () => {
  expect(createPriorityScheduler().share(21)).toEqual({ HIGH: 16, NORMAL: 4, LOW: 1 });
  const singles = createPriorityScheduler();
  const sum = { HIGH: 0, NORMAL: 0, LOW: 0 };
  for (let batch = 0; batch < 42; batch++) {
    const share = singles.share(1);
    for (const lane of ['HIGH', 'NORMAL', 'LOW'] as const) sum[lane] += share[lane];
  }
  expect(sum).toEqual({ HIGH: 32, NORMAL: 8, LOW: 2 });
});

test('a lane that needs more than its places takes those of the least urgent first', () => {
  const places = { HIGH: 4, NORMAL: 2, LOW: 1 };
  usePlaces(places, 'NORMAL', 4);
  expect(places).toEqual({ HIGH: 3, NORMAL: 0, LOW: 0 });
});
