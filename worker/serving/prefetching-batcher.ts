/**
 * The first of the worker's two loops: claims jobs and groups them into batches, one batch ahead of the engine. While the second loop
 * (run-loop.ts) runs a batch, this one claims the next, shortly before the engine is expected to be free. Claiming
 * earlier would take work from idle workers and keep urgent and late jobs out of the batch.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Consumer, StartedJob } from '@inferql/queue/jobs/consumer';
import type { ClaimedJob } from '@inferql/queue/jobs/stream-entry';
import { ArrivalRate } from './arrival-rate.ts';
import { createNotifier } from './notifier.ts';

/** How long before the expected end of a run the next batch is claimed: claiming takes a few milliseconds. */
const PREFETCH_LEAD_MS = 10;
/** Jobs that come within this time of each other may share a batch, even if `maxQueueDelayMs` is less. */
const MIN_NEIGHBOUR_MS = 2;
const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 2_000;

export interface Batch {
  jobs: ClaimedJob[];
  /** Set if the attempt has already begun: a job of a failed batch, retried alone. */
  started?: StartedJob;
}

export interface BatcherOptions {
  consumer: Pick<Consumer, 'claim' | 'waitForJobs' | 'held'>;
  maxBatchSize: number;
  maxQueueDelayMs: number;
  /** Expected time of a run of this many images, in milliseconds; 0 if unknown. */
  expectedRunMs(batchSize: number): number;
  /** Called with errors of Redis; the claim is retried with backoff. */
  onClaimError(error: unknown): void;
}

export class Batcher {
  readonly #options: BatcherOptions;
  readonly #notifier = createNotifier();
  readonly #arrivals: ArrivalRate;
  readonly #isolated: Batch[] = [];
  /** Claimed jobs that are not in a batch yet: the start of the next one. */
  readonly #pending: ClaimedJob[] = [];
  #busyUntilMs: number | undefined;
  #slot: Batch | undefined;
  #claimFailures = 0;
  #blockedRead = false;
  #closed = false;
  #finished = false;

  /** Begins to claim. */
  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#arrivals = new ArrivalRate(Math.max(options.maxQueueDelayMs, MIN_NEIGHBOUR_MS));
    options.consumer.held.onRemoved(() => this.#notifier.notify());
    void this.#fillSlot();
  }

  /**
   * Resolves with the next batch as soon as there is one, or with undefined once the batcher is closed and nothing is left. The engine counts as busy
   * from then on, until `engineIsIdle` is called.
   */
  async next(): Promise<Batch | undefined> {
    while (!this.#slot && !this.#finished) await this.#notifier.wait();
    const batch = this.#slot;
    this.#slot = undefined;
    // The caller is about to run the batch.
    if (batch) this.#busyUntilMs = performance.now() + this.#options.expectedRunMs(batch.jobs.length);
    this.#notifier.notify();
    return batch;
  }

  /** Whether the next batch is ready. */
  isNextReady(): boolean {
    return this.#slot !== undefined;
  }

  /** Reports that the batch's run starts now, later than its batch was taken, and will end at about `expectedEndMs` (`performance.now()`). */
  engineStarts(expectedEndMs: number): void {
    this.#busyUntilMs = expectedEndMs;
    this.#notifier.notify();
  }

  engineIsIdle(): void {
    this.#busyUntilMs = undefined;
    this.#notifier.notify();
  }

  /** Puts a job before all others, in a separate batch. */
  pushIsolated(batch: Batch): void {
    this.#isolated.push(batch);
    this.#notifier.notify();
  }

  /** Puts redelivered jobs before all others; those whose attempt was lost run alone. */
  pushRedelivered(jobs: ClaimedJob[]): void {
    this.#pending.unshift(...this.#separateRedelivered(jobs));
    if (jobs.length > 0) this.#notifier.notify();
  }

  /** Stops claiming; `next` still returns held jobs. Resolves once none is held. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#notifier.notify();
    while (!this.#finished) await this.#notifier.wait();
  }

  /** The loop: forms a batch, and waits until it is taken. */
  async #fillSlot(): Promise<void> {
    for (;;) {
      const batch = await this.#collect();
      if (!batch) break;
      this.#slot = batch;
      this.#notifier.notify();
      while (this.#slot) await this.#notifier.wait();
    }
    this.#finished = true;
    this.#notifier.notify();
  }

  /** Forms the next batch; undefined once closed and nothing is held anymore. */
  async #collect(): Promise<Batch | undefined> {
    const { maxBatchSize, consumer } = this.#options;
    for (;;) {
      const first = this.#isolated.shift();
      if (first) return first;
      if (this.#closed) {
        if (this.#pending.length > 0) return { jobs: this.#pending.splice(0, maxBatchSize) };
        if (consumer.held.size === 0 && !this.#blockedRead) return undefined;
        await this.#notifier.wait();
        continue;
      }
      const claimAtMs = this.#busyUntilMs === undefined ? 0 : this.#busyUntilMs - PREFETCH_LEAD_MS;
      const nowMs = performance.now();
      if (nowMs < claimAtMs) {
        await this.#notifier.wait(claimAtMs - nowMs);
        continue;
      }
      const jobs = this.#pending.splice(0, maxBatchSize);
      // The blocked read in progress answers as soon as anything waits: nothing else needs to claim.
      if (jobs.length === 0 && this.#blockedRead) {
        await this.#notifier.wait();
        continue;
      }
      // A single job that ended a wait runs at once, unless others are expected closely behind it.
      if (jobs.length === 0 || this.#arrivals.mayMoreCome()) {
        jobs.push(...(await this.#claim(maxBatchSize - jobs.length)));
      }
      if (jobs.length > 0) return { jobs: await this.#waitForMore(jobs) };
      // What arrived during this claim has woken nobody.
      if (this.#isolated.length > 0 || this.#pending.length > 0 || this.#closed) continue;
      this.#blockForJobs();
      await this.#notifier.wait();
    }
  }

  /** Waits up to maxQueueDelayMs for more jobs, as long as the engine is idle and more jobs are expected. */
  async #waitForMore(jobs: ClaimedJob[]): Promise<ClaimedJob[]> {
    const { maxBatchSize, maxQueueDelayMs } = this.#options;
    const untilMs = performance.now() + maxQueueDelayMs;
    while (jobs.length < maxBatchSize && !this.#closed && this.#isolated.length === 0) {
      const restMs = untilMs - performance.now();
      if (restMs <= 0 || !this.#arrivals.mayMoreCome()) break;
      this.#blockForJobs();
      await this.#notifier.wait(restMs);
      jobs.push(...this.#pending.splice(0, maxBatchSize - jobs.length));
      jobs.push(...(await this.#claim(maxBatchSize - jobs.length)));
    }
    return jobs;
  }

  /** Claims without blocking; nothing if Redis does not answer. */
  async #claim(max: number): Promise<ClaimedJob[]> {
    if (max <= 0) return [];
    try {
      return this.#receive(await this.#options.consumer.claim(max));
    } catch (error) {
      await this.#backOff(error);
      return [];
    }
  }

  /** Waits in the background until something is queued; the job that ends the wait becomes pending. */
  #blockForJobs(): void {
    if (this.#blockedRead) return;
    this.#blockedRead = true;
    void (async () => {
      try {
        this.#pending.push(...this.#receive(await this.#options.consumer.waitForJobs()));
      } catch (error) {
        await this.#backOff(error);
      } finally {
        this.#blockedRead = false;
        this.#notifier.notify();
      }
    })();
  }

  /** Returns those that may share a batch. */
  #receive(jobs: ClaimedJob[]): ClaimedJob[] {
    this.#claimFailures = 0;
    this.#arrivals.note(jobs.length);
    return this.#separateRedelivered(jobs);
  }

  async #backOff(error: unknown): Promise<void> {
    this.#options.onClaimError(error);
    await delay(Math.min(FIRST_BACKOFF_MS * 2 ** this.#claimFailures++, LAST_BACKOFF_MS));
  }

  #separateRedelivered(jobs: ClaimedJob[]): ClaimedJob[] {
    for (const job of jobs) if (job.redelivered) this.#isolated.push({ jobs: [job] });
    return jobs.filter((job) => !job.redelivered);
  }
}
