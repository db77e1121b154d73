/** Whatever the batcher waits for, it takes notice of the rest. */
import { HeldJobs } from '@inferql/queue/jobs/held-jobs';
import type { ClaimedJob } from '@inferql/queue/jobs/stream-entry';
import { expect, test } from 'vitest';
import { createQueue, idsOf, job, LONG_MS, nextTurn, startBatcher } from './batcher.fixture.ts';
import { Batcher } from './prefetching-batcher.ts';

/** Its claims wait until they are ended, and nothing ends its blocked read. */
function startClaiming() {
  let endClaim: (() => void) | undefined;
  const batcher = new Batcher({
    maxBatchSize: 8,
    maxQueueDelayMs: 0,
    expectedRunMs: () => 0,
    onClaimError: (error) => expect.unreachable(String(error)),
    consumer: {
      held: new HeldJobs(),
      claim: () =>
        new Promise((resolve) => {
          endClaim = () => resolve([]);
        }),
      waitForJobs: () => new Promise(() => {}),
    },
  });
  return {
    batcher,
    async duringClaim(act: () => void) {
      while (!endClaim) await nextTurn();
      act();
      endClaim();
      endClaim = undefined;
    },
  };
}

test('a job that another worker lost while this one claimed does not wait for the end of a blocked read', async () => {
  const { batcher, duringClaim } = startClaiming();
  for (const lost of [{ ...job('attempted'), redelivered: true }, job('only claimed')]) {
    await duringClaim(() => batcher.pushRedelivered([lost]));
    expect(idsOf(await batcher.next())).toEqual([lost.entryId]);
    batcher.engineIsIdle();
  }
});

test('a batcher that is closed while it claims waits for nothing else', async () => {
  const { batcher, duringClaim } = startClaiming();
  let closed: Promise<void> | undefined;
  await duringClaim(() => {
    closed = batcher.close();
  });
  await closed;
  expect(await batcher.next()).toBeUndefined();
});

test.each(['a job to run alone', 'the end of the batcher'])(
  'a batch that waits for more goes at once for %s',
  async (why) => {
    const queue = createQueue();
    queue.push('1', '2', '3', '4', '5', '6', '7', '8', '9');
    const batcher = startBatcher(queue, 4, LONG_MS);
    for (const ids of [
      ['1', '2', '3', '4'],
      ['5', '6', '7', '8'],
    ]) {
      expect(idsOf(await batcher.next())).toEqual(ids);
      batcher.engineIsIdle();
    }
    const next = batcher.next();
    await queue.whenWaitedFor();
    if (why === 'the end of the batcher') void batcher.close();
    else batcher.pushIsolated({ jobs: [job('alone')] });
    expect(idsOf(await next)).toEqual(['9']);
  },
);

test('claims that fail are repeated with pauses, and reported', async () => {
  const errors: unknown[] = [];
  const queue = createQueue();
  let isDown = true;
  const ifUp = async (claim: () => Promise<ClaimedJob[]>) => {
    if (isDown) throw new Error('ERR refused by the test');
    return claim();
  };
  const batcher = new Batcher({
    maxBatchSize: 8,
    maxQueueDelayMs: 0,
    expectedRunMs: () => 0,
    onClaimError(error) {
      errors.push(error);
      isDown = errors.length < 2;
    },
    consumer: {
      held: queue.held,
      claim: (max) => ifUp(() => queue.claim(max)),
      waitForJobs: () => ifUp(() => queue.waitForJobs()),
    },
  });
  queue.push('1');
  const startedAtMs = performance.now();
  expect(idsOf(await batcher.next())).toEqual(['1']);
  expect(errors).toHaveLength(2);
  // The second pause is twice the first one.
  expect(performance.now() - startedAtMs).toBeGreaterThan(290);
});
