/** Shared by the tests of the batcher: a queue in memory. */
import { HeldJobs } from '@inferql/queue/jobs/held-jobs';
import type { ClaimedJob } from '@inferql/queue/jobs/stream-entry';
import { expect } from 'vitest';
import { type Batch, Batcher } from './prefetching-batcher.ts';

export const job = (entryId: string, stream = 'stream'): ClaimedJob => ({
  entryId,
  stream,
  jobId: entryId,
  tenant: 'anonymous',
  image: Buffer.alloc(1),
  options: { heatmap: false },
  redelivered: false,
  readable: true,
});

export const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A queue in memory: what `push` adds is claimed in order, and ends a blocked read. */
export function createQueue() {
  const waiting: ClaimedJob[] = [];
  const claimedAtMs: number[] = [];
  const held = new HeldJobs();
  let endBlockedRead: (() => void) | undefined;
  return {
    claimedAtMs,
    held,
    push(...ids: string[]) {
      waiting.push(...ids.map((id) => job(id)));
      endBlockedRead?.();
    },
    async claim(max: number) {
      const jobs = waiting.splice(0, max);
      if (jobs.length > 0) claimedAtMs.push(performance.now());
      return held.add(jobs);
    },
    async waitForJobs() {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          endBlockedRead = resolve;
        });
      }
      endBlockedRead = undefined;
      claimedAtMs.push(performance.now());
      // One per lane.
      return held.add(waiting.splice(0, 3));
    },
    async whenWaitedFor() {
      while (!endBlockedRead) await nextTurn();
    },
  };
}

export function startBatcher(
  consumer: ReturnType<typeof createQueue>,
  maxBatchSize: number,
  maxQueueDelayMs: number,
  runMs = LONG_MS,
) {
  return new Batcher({
    consumer,
    maxBatchSize,
    maxQueueDelayMs,
    expectedRunMs: () => runMs,
    onClaimError: (error) => expect.unreachable(String(error)),
  });
}

export const idsOf = (batch: Batch | undefined) => batch?.jobs.map(({ entryId }) => entryId);
export const LONG_MS = 60_000;
