import { expect, test } from 'vitest';
import type { ClaimedJob } from '../queue/entry.ts';
import { createBatcher } from './batcher.ts';

const job = (entryId: string): ClaimedJob => ({
  entryId,
  stream: 'stream',
  jobId: entryId,
  image: Buffer.alloc(1),
  options: { heatmap: false },
  recovered: false,
  readable: true,
});

test('a job that ends the blocked read while the queue is asked is not left until the next one', async () => {
  let endBlockedRead: ((jobs: ClaimedJob[]) => void) | undefined;
  let claims = 0;
  const batcher = createBatcher({
    maxBatchSize: 8,
    maxQueueDelayMs: 0,
    onClaimError: (error) => expect.unreachable(String(error)),
    consumer: {
      waitForJobs: () =>
        new Promise((resolve) => {
          endBlockedRead = resolve;
        }),
      async claim() {
        claims++;
        // The second time it is asked, the blocked read has just taken what came.
        if (claims === 2) {
          endBlockedRead!([job('1-0')]);
          await new Promise((resolve) => setImmediate(resolve));
        }
        return [];
      },
    },
  });
  while (!endBlockedRead) await new Promise((resolve) => setImmediate(resolve));
  batcher.engineIsIdle();
  expect((await batcher.next())?.jobs.map(({ entryId }) => entryId)).toEqual(['1-0']);
}, 5_000);
