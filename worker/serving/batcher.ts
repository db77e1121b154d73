/**
 * Claims work and groups it into batches, one batch ahead of the engine: the first of the worker's two loops. The second one
 * (loop.ts) takes a batch, and meanwhile the next is claimed, shortly before the engine is expected to be free. Earlier
 * would only take work from idle workers, and urgent jobs and late-comers could no longer get into the batch.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Consumer, StartedJob } from '@inferql/queue/consumer';
import type { ClaimedJob } from '@inferql/queue/stream-entry';
import { createBell } from './notifier.ts';

/** Claiming takes a few milliseconds; this long before the expected end of a run the next batch is claimed. */
const PREFETCH_LEAD_MS = 10;
const MIN_NEIGHBOUR_MS = 2;
/** Longer pauses between jobs count as this many neighbour times, so that a burst after a quiet hour is noticed soon. */
const LONGEST_GAP = 4;
const GAP_WEIGHT = 0.3;
const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 2_000;

export interface Batch {
  jobs: ClaimedJob[];
  /** Set where the attempt has begun already: a job of a batch that failed, tried again by itself. */
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
  /** Tells that the run of the batch begins only now and ends about `expectedEndMs` (`performance.now()`). */
  engineStarts(expectedEndMs: number): void;
  engineIsIdle(): void;
  /** Puts a job before all others, in a batch of its own. */
  addAlone(batch: Batch): void;
  /** Puts recovered jobs before all others; those whose attempt was lost run alone. */
  addRecovered(jobs: ClaimedJob[]): void;
  /** Everything claimed and not yet given back by `release`. */
  held(): ClaimedJob[];
  /** Tells that a job has ended for this worker. */
  release(jobs: readonly ClaimedJob[]): void;
  /** Claims nothing more; what is held still comes out of `next`. Resolves once all that was held is released. */
  close(): Promise<void>;
}

export function createBatcher(options: {
  consumer: Pick<Consumer, 'claim' | 'waitForJobs'>;
  maxBatchSize: number;
  maxQueueDelayMs: number;
  /** How long a run of so many images is expected to take; 0 where nothing is known. */
  expectedRunMs(batchSize: number): number;
  /** Called with what Redis answered instead of jobs; it is asked again, with backoff. */
  onClaimError(error: unknown): void;
}): Batcher {
  const { consumer, maxBatchSize, maxQueueDelayMs } = options;
  const bell = createBell();
  const held = new Set<ClaimedJob>();
  const alone: Batch[] = [];
  /** Claimed before anyone asked for them: the beginning of the next batch. */
  const loose: ClaimedJob[] = [];
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

  /** Claims without blocking; nothing where Redis does not answer. */
  async function claim(max: number): Promise<ClaimedJob[]> {
    if (max <= 0) return [];
    try {
      const jobs = hold(await consumer.claim(max));
      claimFailures = 0;
      noteArrivals(jobs.length);
      return keepLoners(jobs);
    } catch (error) {
      await backOff(error);
      return [];
    }
  }

  /** Waits in the background until something is queued; the job that ends the wait becomes a loose one. */
  function blockForJobs(): void {
    if (blockedRead || closed) return;
    blockedRead = true;
    void (async () => {
      try {
        const jobs = hold(await consumer.waitForJobs());
        claimFailures = 0;
        noteArrivals(jobs.length);
        loose.push(...keepLoners(jobs));
      } catch (error) {
        await backOff(error);
      } finally {
        blockedRead = false;
        bell.ring();
      }
    })();
  }

  async function backOff(error: unknown): Promise<void> {
    options.onClaimError(error);
    await delay(Math.min(FIRST_BACKOFF_MS * 2 ** claimFailures++, LAST_BACKOFF_MS));
  }

  function keepLoners(jobs: ClaimedJob[]): ClaimedJob[] {
    for (const job of jobs) if (job.recovered) alone.push({ jobs: [job] });
    return jobs.filter((job) => !job.recovered);
  }

  function mayMoreCome(): boolean {
    return gapMs <= neighbourMs;
  }

  /** Forms the next batch; undefined once closed with nothing held any more. */
  async function collect(): Promise<Batch | undefined> {
    for (;;) {
      const first = alone.shift();
      if (first) return first;
      if (closed) {
        if (loose.length > 0) return { jobs: loose.splice(0, maxBatchSize) };
        if (held.size === 0 && !blockedRead) return undefined;
        await bell.wait();
        continue;
      }
      const claimAtMs = busyUntilMs === undefined ? 0 : busyUntilMs - PREFETCH_LEAD_MS;
      const nowMs = performance.now();
      if (nowMs < claimAtMs) {
        await bell.wait(claimAtMs - nowMs);
        continue;
      }
      const jobs = loose.splice(0, maxBatchSize);
      // A blocked read under way answers as soon as anything waits: nothing else needs to ask.
      if (jobs.length === 0 && blockedRead) {
        await bell.wait();
        continue;
      }
      // A single job that ended a wait goes at once, unless its neighbours are seen to come close behind it.
      if (jobs.length === 0 || mayMoreCome()) {
        jobs.push(...(await claim(maxBatchSize - jobs.length)));
      }
      if (jobs.length > 0) return { jobs: await fill(jobs) };
      // What came while Redis was asked here rang for nobody.
      if (alone.length > 0 || loose.length > 0 || closed) continue;
      blockForJobs();
      await bell.wait();
    }
  }

  /** Waits up to maxQueueDelayMs for more, as long as the engine has nothing better to do and more is to be expected. */
  async function fill(jobs: ClaimedJob[]): Promise<ClaimedJob[]> {
    const untilMs = performance.now() + maxQueueDelayMs;
    while (jobs.length < maxBatchSize && !closed && alone.length === 0) {
      const restMs = untilMs - performance.now();
      if (restMs <= 0 || !mayMoreCome()) break;
      blockForJobs();
      await bell.wait(restMs);
      jobs.push(...loose.splice(0, maxBatchSize - jobs.length));
      jobs.push(...(await claim(maxBatchSize - jobs.length)));
    }
    return jobs;
  }

  async function claimLoop(): Promise<void> {
    for (;;) {
      const batch = await collect();
      if (!batch) break;
      slot = batch;
      bell.ring();
      while (slot) await bell.wait();
    }
    finished = true;
    bell.ring();
  }

  let finished = false;
  void claimLoop();

  return {
    async next() {
      while (!slot && !finished) await bell.wait();
      const batch = slot;
      slot = undefined;
      // Whoever takes a batch is about to run it.
      if (batch) busyUntilMs = performance.now() + options.expectedRunMs(batch.jobs.length);
      bell.ring();
      return batch;
    },
    isNextReady: () => slot !== undefined,
    engineStarts(expectedEndMs) {
      busyUntilMs = expectedEndMs;
      bell.ring();
    },
    engineIsIdle() {
      busyUntilMs = undefined;
      bell.ring();
    },
    addAlone(batch) {
      alone.push(batch);
      bell.ring();
    },
    addRecovered(jobs) {
      loose.unshift(...keepLoners(hold(jobs)));
      if (jobs.length > 0) bell.ring();
    },
    held: () => [...held],
    release(jobs) {
      for (const job of jobs) held.delete(job);
      bell.ring();
    },
    async close() {
      closed = true;
      bell.ring();
      while (!finished || held.size > 0) await bell.wait();
    },
  };
}
