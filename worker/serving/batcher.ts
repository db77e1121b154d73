/**
 * Claims work and groups it into batches, one batch ahead of the engine: the first of the worker's two loops. The second one
 * (run-loop.ts) takes a batch, and meanwhile the next is claimed, shortly before the engine is expected to be free. Claiming
 * earlier would only take work from idle workers and keep urgent and late jobs out of the batch.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Consumer, StartedJob } from '@inferql/queue/consumer';
import type { ClaimedJob } from '@inferql/queue/stream-entry';
import { createNotifier } from './notifier.ts';

/** Claiming takes a few milliseconds; this long before the expected end of a run the next batch is claimed. */
const PREFETCH_LEAD_MS = 10;
const MIN_NEIGHBOUR_MS = 2;
/** Longer pauses between jobs count as this many neighbor times, so that a burst after a quiet hour is noticed soon. */
const LONGEST_GAP = 4;
const GAP_WEIGHT = 0.3;
const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 2_000;

export interface Batch {
  jobs: ClaimedJob[];
  /** Set if the attempt has already begun: a job of a failed batch, retried alone. */
  started?: StartedJob;
}

export interface Batcher {
  /**
   * The next batch, as soon as there is one; undefined once it is closed and nothing is left. The engine counts as busy from then
   * on, until `engineIsIdle`.
   */
  next(): Promise<Batch | undefined>;
  /** Whether the next batch is there already. */
  isNextReady(): boolean;
  /** Reports that the batch's run begins only now and ends at about `expectedEndMs` (`performance.now()`). */
  engineStarts(expectedEndMs: number): void;
  engineIsIdle(): void;
  /** Puts a job before all others, in a separate batch. */
  pushIsolated(batch: Batch): void;
  /** Puts redelivered jobs before all others; those whose attempt was lost run alone. */
  pushRedelivered(jobs: ClaimedJob[]): void;
  /** All claimed jobs that were not released yet. */
  held(): ClaimedJob[];
  /** Reports that a job has ended for this worker. */
  release(jobs: readonly ClaimedJob[]): void;
  /** Stops claiming; `next` still returns held jobs. Resolves once all held jobs are released. */
  close(): Promise<void>;
}

export function createBatcher(options: {
  consumer: Pick<Consumer, 'claim' | 'waitForJobs'>;
  maxBatchSize: number;
  maxQueueDelayMs: number;
  /** Expected time of a run of this many images, in milliseconds; 0 if unknown. */
  expectedRunMs(batchSize: number): number;
  /** Called with errors of Redis; the claim is retried with backoff. */
  onClaimError(error: unknown): void;
}): Batcher {
  const { consumer, maxBatchSize, maxQueueDelayMs } = options;
  const notifier = createNotifier();
  const held = new Set<ClaimedJob>();
  const isolated: Batch[] = [];
  /** Claimed before anyone asked for them: the beginning of the next batch. */
  const pending: ClaimedJob[] = [];
  let busyUntilMs: number | undefined;
  let slot: Batch | undefined;
  let closed = false;
  let claimFailures = 0;
  let blockedRead = false;
  let lastClaimMs: number | undefined;
  /** A job that comes within this time of another may share its batch. */
  const neighbourMs = Math.max(maxQueueDelayMs, MIN_NEIGHBOUR_MS);
  /** Moving average of the time between two jobs. */
  let gapMs = neighbourMs * LONGEST_GAP;

  function hold(jobs: ClaimedJob[]): ClaimedJob[] {
    for (const job of jobs) held.add(job);
    return jobs;
  }

  function noteArrivals(count: number): void {
    if (count === 0) return;
    const nowMs = performance.now();
    if (lastClaimMs !== undefined) {
      const gap = Math.min((nowMs - lastClaimMs) / count, neighbourMs * LONGEST_GAP);
      gapMs += (gap - gapMs) * (1 - (1 - GAP_WEIGHT) ** count);
    }
    lastClaimMs = nowMs;
  }

  /** Claims without blocking; nothing if Redis does not answer. */
  async function claim(max: number): Promise<ClaimedJob[]> {
    if (max <= 0) return [];
    try {
      const jobs = hold(await consumer.claim(max));
      claimFailures = 0;
      noteArrivals(jobs.length);
      return separateRedelivered(jobs);
    } catch (error) {
      await backOff(error);
      return [];
    }
  }

  /** Waits in the background until something is queued; the job that ends the wait becomes a loose job. */
  function blockForJobs(): void {
    if (blockedRead || closed) return;
    blockedRead = true;
    void (async () => {
      try {
        const jobs = hold(await consumer.waitForJobs());
        claimFailures = 0;
        noteArrivals(jobs.length);
        pending.push(...separateRedelivered(jobs));
      } catch (error) {
        await backOff(error);
      } finally {
        blockedRead = false;
        notifier.notify();
      }
    })();
  }

  async function backOff(error: unknown): Promise<void> {
    options.onClaimError(error);
    await delay(Math.min(FIRST_BACKOFF_MS * 2 ** claimFailures++, LAST_BACKOFF_MS));
  }

  function separateRedelivered(jobs: ClaimedJob[]): ClaimedJob[] {
    for (const job of jobs) if (job.redelivered) isolated.push({ jobs: [job] });
    return jobs.filter((job) => !job.redelivered);
  }

  function mayMoreCome(): boolean {
    return gapMs <= neighbourMs;
  }

  /** Forms the next batch; undefined once closed and nothing is held any more. */
  async function collect(): Promise<Batch | undefined> {
    for (;;) {
      const first = isolated.shift();
      if (first) return first;
      if (closed) {
        if (pending.length > 0) return { jobs: pending.splice(0, maxBatchSize) };
        if (held.size === 0 && !blockedRead) return undefined;
        await notifier.wait();
        continue;
      }
      const claimAtMs = busyUntilMs === undefined ? 0 : busyUntilMs - PREFETCH_LEAD_MS;
      const nowMs = performance.now();
      if (nowMs < claimAtMs) {
        await notifier.wait(claimAtMs - nowMs);
        continue;
      }
      const jobs = pending.splice(0, maxBatchSize);
      // The blocked read in progress answers as soon as anything waits: nothing else needs to claim.
      if (jobs.length === 0 && blockedRead) {
        await notifier.wait();
        continue;
      }
      // A single job that ended a wait runs at once, unless others are expected closely behind it.
      if (jobs.length === 0 || mayMoreCome()) {
        jobs.push(...(await claim(maxBatchSize - jobs.length)));
      }
      if (jobs.length > 0) return { jobs: await fill(jobs) };
      // What arrived during this claim has woken nobody.
      if (isolated.length > 0 || pending.length > 0 || closed) continue;
      blockForJobs();
      await notifier.wait();
    }
  }

  /** Waits up to maxQueueDelayMs for more, as long as the engine is idle and more jobs are expected. */
  async function fill(jobs: ClaimedJob[]): Promise<ClaimedJob[]> {
    const untilMs = performance.now() + maxQueueDelayMs;
    while (jobs.length < maxBatchSize && !closed && isolated.length === 0) {
      const restMs = untilMs - performance.now();
      if (restMs <= 0 || !mayMoreCome()) break;
      blockForJobs();
      await notifier.wait(restMs);
      jobs.push(...pending.splice(0, maxBatchSize - jobs.length));
      jobs.push(...(await claim(maxBatchSize - jobs.length)));
    }
    return jobs;
  }

  async function claimLoop(): Promise<void> {
    for (;;) {
      const batch = await collect();
      if (!batch) break;
      slot = batch;
      notifier.notify();
      while (slot) await notifier.wait();
    }
    finished = true;
    notifier.notify();
  }

  let finished = false;
  void claimLoop();

  return {
    async next() {
      while (!slot && !finished) await notifier.wait();
      const batch = slot;
      slot = undefined;
      // The caller is about to run the batch.
      if (batch) busyUntilMs = performance.now() + options.expectedRunMs(batch.jobs.length);
      notifier.notify();
      return batch;
    },
    isNextReady: () => slot !== undefined,
    engineStarts(expectedEndMs) {
      busyUntilMs = expectedEndMs;
      notifier.notify();
    },
    engineIsIdle() {
      busyUntilMs = undefined;
      notifier.notify();
    },
    pushIsolated(batch) {
      isolated.push(batch);
      notifier.notify();
    },
    pushRedelivered(jobs) {
      pending.unshift(...separateRedelivered(hold(jobs)));
      if (jobs.length > 0) notifier.notify();
    },
    held: () => [...held],
    release(jobs) {
      for (const job of jobs) held.delete(job);
      notifier.notify();
    },
    async close() {
      closed = true;
      notifier.notify();
      while (!finished || held.size > 0) await notifier.wait();
    },
  };
}
