import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import { send } from '@inferql/testing/system/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterEach, expect, test } from 'vitest';
import { busyModel } from './scenario.ts';

const MAX_QUEUE_SIZE = 30;
const UPLOADS = 400;

let system: TestSystem;

afterEach(() => system?.end());

interface Prediction {
  status: string;
  result: { labels: { index: number }[] };
}

test('if far more work comes than the queue holds, each upload is answered, or refused with a time to retry', async () => {
  system = await startSystem({ servers: 2, models: [busyModel({ waitMs: 200 }, { maxQueueSize: MAX_QUEUE_SIZE })] });
  const query =
    'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { status result { labels(topK: 1) { index } } } } }';
  let done = false;
  let longest = 0;
  // However slowly uploads come, the queue fills: nothing is taken from it before some are refused.
  system.workers[0]!.pause();
  const watching = (async () => {
    while (!done) {
      const { data } = await send<{ queue: { waiting: number } }>(system.url, { query: '{ queue { waiting } }' });
      longest = Math.max(longest, data!.queue.waiting);
    }
  })();
  const answers = await Promise.all(
    Array.from({ length: UPLOADS }, async (_, n) => {
      const operation = { query, variables: { image: null }, files: { image: makePicture(n) } };
      const answer = await send<{ classifyImage: Prediction }>(system.servers[n % 2]!.url, operation);
      if (!answer.data?.classifyImage) system.workers[0]!.resume();
      return { ...answer, n };
    }),
  );
  done = true;
  await watching;

  const answered = answers.filter(({ data }) => data?.classifyImage);
  for (const { data, n, httpStatus } of answered) {
    expect(httpStatus).toBe(200);
    expect(data!.classifyImage).toEqual({ status: 'SUCCEEDED', result: { labels: [{ index: expectedClass(n) }] } });
  }
  expect(answered.length).toBeGreaterThanOrEqual(MAX_QUEUE_SIZE);
  const refused = answers.filter(({ data }) => !data?.classifyImage);
  expect(refused.length).toBeGreaterThan(0);
  for (const { errors, httpStatus, headers } of refused) {
    expect(httpStatus).toBe(503);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(errors).toHaveLength(1);
    expect(errors![0]!.extensions).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: expect.any(Number) });
  }
  expect(longest).toBeGreaterThan(0);
  expect(longest).toBeLessThanOrEqual(MAX_QUEUE_SIZE);
});
