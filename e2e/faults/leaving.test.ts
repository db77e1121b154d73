import { makePicture } from '@inferql/testing/data/test-images';
import { send } from '@inferql/testing/system/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { until } from '@inferql/testing/until';
import { afterEach, expect, test } from 'vitest';
import { busyModel } from './scenario.ts';

let system: TestSystem;

afterEach(() => system?.end());

interface Queue {
  waiting: number;
  processing: number;
  ended: { canceled: number; succeeded: number };
}

async function readQueue(): Promise<Queue> {
  const query = '{ queue { waiting processing ended { canceled succeeded } } }';
  const { data } = await send<{ queue: Queue }>(system.url, { query });
  return data!.queue;
}

/** Resolves once the queue is in this state. */
const untilQueue = (condition: (queue: Queue) => boolean) => until(readQueue, condition);

test('what only clients that left waited for is canceled, and the others get their answers', async () => {
  system = await startSystem({ models: [busyModel({ waitMs: 20 })] });
  system.workers[0]!.pause();
  const leaving = new AbortController();
  const query =
    'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { status result { labels { index } } } } }';
  const answers = Array.from({ length: 240 }, (_, n) => {
    const operation = { query, variables: { image: null }, files: { image: makePicture(n) } };
    const answer = send<{ classifyImage: { status: string } }>(
      system.url,
      operation,
      n % 2 ? leaving.signal : undefined,
    );
    return answer.then(
      ({ data }) => data!.classifyImage.status,
      () => 'left',
    );
  });
  // A stopped worker may hold what it read before.
  await untilQueue(({ waiting, processing }) => waiting + processing === 240);
  leaving.abort();
  await untilQueue(({ ended }) => ended.canceled === 120);
  system.workers[0]!.resume();
  const statuses = await Promise.all(answers);
  expect(statuses.filter((status) => status === 'SUCCEEDED')).toHaveLength(120);
  expect(statuses.filter((status) => status === 'left')).toHaveLength(120);
  await untilQueue(({ waiting, processing }) => waiting + processing === 0);
  expect((await readQueue()).ended).toEqual({ canceled: 120, succeeded: 120 });
});
