import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Consumer, StartedJob } from './consumer.ts';
import { isTerminal, PRIORITIES, type PredictionStatus } from './contract.ts';
import { failure, leftovers, setUp, success } from './queue.fixture.ts';
import type { ClaimedJob } from './stream-entry.ts';

/**
 * A model of the queue without Redis. The Lua steps must behave like it, in whatever order servers and workers call them.
 */
interface ModelJob {
  followers: Set<string>;
  attempts: number;
  owner: number | undefined;
  pixel: number;
  shared: boolean;
  caches: boolean;
  /** 0 is the most urgent. */
  lane: number;
  arrival: number;
}

interface Sent {
  id: string;
  pixel: number;
  share: boolean;
  caches: boolean;
  lane: number;
  key: string | null;
}

const MAX_ATTEMPTS = 2;
const MAX_QUEUE_SIZE = 5;

class ModelQueue {
  readonly jobs = new Map<string, ModelJob>();
  readonly status = new Map<string, PredictionStatus>();
  readonly cache = new Set<number>();
  readonly keys = new Map<string, { id: string; pixel: number }>();
  private arrivals = 0;

  /** In the order in which they are to start. */
  waiting(): ModelJob[] {
    return [...this.jobs.values()]
      .filter((job) => job.attempts === 0)
      .sort((a, b) => a.lane - b.lane || a.arrival - b.arrival);
  }

  /** 1 is next. */
  position(id: string): number | undefined {
    const place = this.waiting().findIndex(({ followers }) => followers.has(id));
    return place < 0 ? undefined : place + 1;
  }

  /** The prediction's id, or why it was refused. */
  admit({ id, pixel, share, caches, lane, key }: Sent): string {
    const known = key === null ? undefined : this.keys.get(key);
    if (known && ['QUEUED', 'PROCESSING', 'SUCCEEDED'].includes(this.status.get(known.id)!)) {
      return known.pixel === pixel ? known.id : 'idempotencyConflict';
    }
    const twin = share ? [...this.jobs.values()].find((job) => job.shared && job.pixel === pixel) : undefined;
    const cached = caches && this.cache.has(pixel);
    if (!cached && !twin && this.waiting().length >= MAX_QUEUE_SIZE) return 'queueFull';
    if (key !== null) this.keys.set(key, { id, pixel });
    if (cached) {
      this.status.set(id, 'SUCCEEDED');
    } else if (twin) {
      twin.followers.add(id);
      this.status.set(id, twin.attempts > 0 ? 'PROCESSING' : 'QUEUED');
      if (twin.attempts === 0 && twin.owner === undefined && lane < twin.lane) {
        twin.lane = lane;
        twin.arrival = this.arrivals++;
      }
    } else {
      const arrival = this.arrivals++;
      const followers = new Set([id]);
      this.jobs.set(id, { followers, attempts: 0, owner: undefined, pixel, shared: share, caches, lane, arrival });
      this.status.set(id, 'QUEUED');
    }
    return id;
  }

  end(id: string, status: PredictionStatus): void {
    if (isTerminal(this.status.get(id)!)) return;
    this.status.set(id, status);
    for (const [jobId, job] of this.jobs) {
      if (job.followers.delete(id) && job.followers.size === 0) this.jobs.delete(jobId);
    }
  }

  endJob(jobId: string, status: PredictionStatus): void {
    for (const id of this.jobs.get(jobId)?.followers ?? []) this.status.set(id, status);
    this.jobs.delete(jobId);
  }

  start(jobId: string, worker: number): number {
    const job = this.jobs.get(jobId);
    if (job?.owner !== worker) return 0;
    if (job.attempts >= MAX_ATTEMPTS) {
      this.endJob(jobId, 'FAILED');
      return 0;
    }
    job.attempts += 1;
    for (const id of job.followers) this.status.set(id, 'PROCESSING');
    return job.attempts;
  }

  settle(jobId: string, attempt: number, succeeded: boolean): 'settled' | 'retry' | 'gone' {
    const job = this.jobs.get(jobId);
    if (!job) return 'gone';
    if (succeeded) {
      if (job.caches) this.cache.add(job.pixel);
      this.endJob(jobId, 'SUCCEEDED');
      return 'settled';
    }
    if (job.attempts !== attempt) return 'gone';
    if (attempt < MAX_ATTEMPTS) return 'retry';
    this.endJob(jobId, 'FAILED');
    return 'settled';
  }
}

const worker = fc.integer({ min: 0, max: 1 });
const pick = fc.nat({ max: 50 });
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('admit' as const),
      pixel: fc.integer({ min: 1, max: 4 }),
      share: fc.boolean(),
      caches: fc.boolean(),
      lane: fc.nat({ max: PRIORITIES.length - 1 }),
      key: fc.option(fc.constantFrom('a', 'b'), { freq: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), pick }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('claim' as const), worker, count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('start' as const), worker, pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('settle' as const), worker, pick, succeeded: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reclaim' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('extend' as const), worker }) },
);
/** A step, and whether it is sent again because its reply was lost. */
const sending = fc.tuple(step, fc.boolean());

it('servers and workers, whatever the order of their steps, see what a simple model of the queue says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sending, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
      // A lease of 0 ms: every pending job counts as stalled, so that `reclaim` takes whatever the other worker holds.
      const { prefix, redis, network, producer, consumer, addWorker, request, keys } = await setUp({
        maxQueueSize: MAX_QUEUE_SIZE,
        maxAttempts: MAX_ATTEMPTS,
        visibilityMs: 0,
      });
      const model = new ModelQueue();
      const consumers: Consumer[] = [consumer, await addWorker()];
      const claimed: ClaimedJob[][] = [[], []];
      const started: StartedJob[][] = [[], []];
      const ids: string[] = [];

      for (const [next, isSentAgain] of steps) {
        network.losesReplies = isSentAgain;
        switch (next.kind) {
          case 'admit': {
            const { share, pixel, lane, key, caches } = next;
            const cacheTtlMs = caches ? 60_000 : 0;
            const idempotencyKey = key ?? undefined;
            const sent = request(pixel, { share, priority: PRIORITIES[lane]!, idempotencyKey, cacheTtlMs });
            const expected = model.admit({ ...next, id: sent.id });
            const outcome = await producer.admit(sent);
            expect(outcome.kind === 'admitted' ? outcome.state.id : outcome.kind).toBe(expected);
            if (expected === sent.id) ids.push(sent.id);
            break;
          }
          case 'cancel':
          case 'expire': {
            const id = ids[next.pick % Math.max(ids.length, 1)];
            if (!id) break;
            if (next.kind === 'cancel') {
              await producer.cancel(id);
              model.end(id, 'CANCELED');
            } else if (await redis.zscore(keys.deadlines, id)) {
              await redis.zadd(keys.deadlines, 1, id);
              expect(await producer.expireDue('tiny')).toBe(isSentAgain ? 0 : 1);
              model.end(id, 'EXPIRED');
            }
            break;
          }
          case 'claim': {
            const jobs = await consumers[next.worker]!.claim(next.count);
            claimed[next.worker]!.push(...jobs);
            for (const { jobId } of jobs) model.jobs.get(jobId)!.owner = next.worker;
            break;
          }
          case 'reclaim': {
            const jobs = await consumers[next.worker]!.reclaim(100);
            claimed[next.worker]!.push(...jobs);
            for (const { jobId, redelivered } of jobs) expect(redelivered).toBe(model.jobs.get(jobId)!.attempts > 0);
            // Reclaiming also moves back jobs that this worker still holds and the other one had reclaimed from it.
            for (const job of model.jobs.values()) if (job.owner !== undefined) job.owner = next.worker;
            break;
          }
          case 'start': {
            const [job] = claimed[next.worker]!.splice(next.pick % Math.max(claimed[next.worker]!.length, 1), 1);
            if (!job) break;
            const expected = model.start(job.jobId, next.worker);
            const [begun] = await consumers[next.worker]!.start([job]);
            expect(begun?.attempt ?? 0).toBe(expected);
            if (begun) started[next.worker]!.push(begun);
            break;
          }
          case 'settle': {
            const [begun] = started[next.worker]!.splice(next.pick % Math.max(started[next.worker]!.length, 1), 1);
            if (!begun) break;
            const expected = model.settle(begun.job.jobId, begun.attempt, next.succeeded);
            const outcome = next.succeeded ? success(begun) : failure(begun);
            const answer = isSentAgain && expected === 'settled' ? 'gone' : expected;
            expect(await consumers[next.worker]!.settle([outcome])).toEqual([answer]);
            if (expected === 'retry') claimed[next.worker]!.push(begun.job);
            break;
          }
          case 'extend':
            await consumers[next.worker]!.extendLeases([
              ...claimed[next.worker]!,
              ...started[next.worker]!.map(({ job }) => job),
            ]);
            break;
          default:
            next satisfies never;
        }
        const [states, queue] = await Promise.all([producer.readMany(ids), producer.queueState('tiny')]);
        expect(states.map((snapshot) => snapshot!.state.status)).toEqual(ids.map((id) => model.status.get(id)));
        expect(states.map((snapshot) => snapshot!.position)).toEqual(ids.map((id) => model.position(id)));
        const waiting = model.waiting().length;
        expect(queue!.waiting).toBe(waiting);
        expect(queue!.processing).toBe(model.jobs.size - waiting);
        expect(queue!.queuedBytes).toBe(model.jobs.size * 12);
      }

      network.losesReplies = false;
      for (const id of ids) await producer.cancel(id);
      for (const [i, jobs] of claimed.entries()) await consumers[i]!.start(jobs);
      expect(await leftovers(redis, prefix)).toEqual([]);
    }),
    { numRuns: 200 },
  );
}, 300_000);
