/** The worker's side of the queue, for one model version in one worker process: claim, start, renew, settle. */
import { imageByteLength, PRIORITIES, type Priority, type Result, ServedModel, type WorkerRecord } from './contract.ts';
import { addPixels, type BareJob, type ClaimedJob, type Entry, parseEntry } from './entry.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import { activeTenantsKey, GROUP, modelKeys, registryKeys, streamKey } from './keys.ts';
import { createLaneTurns } from './lanes.ts';
import { isRedisUnavailable, type RedisConnection } from './redis.ts';
import { EXPIRE_AT_ONCE, runStep } from './scripts.ts';

export interface StartedJob {
  job: ClaimedJob;
  /** The attempt's number, 1 the first; fences what follows. */
  attempt: number;
}

export type Outcome =
  | { started: StartedJob; result: Result; batchSize: number; inferenceMs: number }
  | { started: StartedJob; errorCode: ErrorCode };

/** `retry`: failed with attempts left, start it again, alone. `gone`: it was canceled, expired, or another worker was first. */
export type Settlement = 'settled' | 'retry' | 'gone';

export type Consumer = ReturnType<typeof createConsumer>;

/** A worker counts as gone when it was not heard for so long; it announces itself every third of it. */
export const WORKER_LIFETIME_MS = 6_000;
/** A blocking read ends after so long at the latest, which bounds how long a worker that drains waits for it. */
const BLOCK_MS = 1_000;
/** How many jobs of a retired version one step moves, so that Redis is never held up. */
const ADOPT_AT_ONCE = 100;

/**
 * Every call may be sent again after a lost connection.
 * @param redis a connection of the role 'work'
 * @param blockingRedis another one, of the role 'blocking', for this consumer alone
 * @param worker a name that no other process has or had
 */
export function createConsumer(options: {
  redis: RedisConnection;
  blockingRedis: RedisConnection;
  prefix: string;
  model: ServedModel;
  /** The names of its classes. */
  labels?: readonly string[] | undefined;
  worker: string;
}) {
  const { redis, blockingRedis, prefix, model, worker } = options;
  const keys = modelKeys(prefix, model.name);
  const registry = registryKeys(prefix);
  const streams = Object.fromEntries(PRIORITIES.map((lane) => [lane, streamKey(keys, model.version, lane)])) as Record<
    Priority,
    string
  >;
  /** Each is there while its lane has a backlog. */
  const backlogs = PRIORITIES.map((lane) => activeTenantsKey(keys, model.version, lane));
  const lanes = createLaneTurns();
  /** Entries that this process has in hand, each with its latest attempt known here; what is pending beside them was lost on the way. */
  const held = new Map<string, number>();
  /** An entry's id is its stream's own: two lanes give the same one to jobs that come in the same millisecond. */
  const nameJob = ({ stream, entryId }: Pick<ClaimedJob, 'stream' | 'entryId'>) => `${stream} ${entryId}`;
  /** When this worker first saw an older version of its model, by this process' clock. */
  const retiredSinceMs = new Map<string, number>();
  let announced = false;
  let hasLabels = options.labels === undefined;
  let mayMissReplies = false;
  blockingRedis.on('close', () => {
    mayMissReplies = true;
  });
  redis.on('close', () => {
    mayMissReplies = true;
  });

  /** Whether there was a backlog at the last look, so that the next claim asks for its part of it at once. */
  let expectsBacklog = false;
  let wasFedBefore = false;
  const isFair = model.queue.fairShares ?? true;

  /** The jobs with their pixels. One whose hash is gone has ended; the start step will say so. */
  async function fetchPixels(jobs: BareJob[]): Promise<ClaimedJob[]> {
    return await Promise.all(
      jobs.map(async (job) => {
        const image = job.image ?? (await redis.hgetBuffer(`${keys.job}${job.jobId}`, 'image'));
        return addPixels(job, image ?? Buffer.alloc(0), imageByteLength(model.input));
      }),
    );
  }

  /** Takes jobs in hand, but for those that came another way before: a late reply may hold what was recovered meanwhile. */
  function hold(jobs: BareJob[]): BareJob[] {
    const fresh = jobs.filter((job) => !held.has(nameJob(job)));
    for (const job of fresh) held.set(nameJob(job), 0);
    return fresh;
  }

  function release(jobs: Pick<ClaimedJob, 'stream' | 'entryId'>[]): void {
    for (const job of jobs) held.delete(nameJob(job));
    if (jobs.length > 0) mayMissReplies = true;
  }

  /** @param after '>': what nobody has claimed yet; '0': what is pending for this worker */
  async function readGroup(lane: Priority, count: number, after: '>' | '0'): Promise<Entry[]> {
    const reply = await redis.xreadgroupBuffer('GROUP', GROUP, worker, 'COUNT', count, 'STREAMS', streams[lane], after);
    return (reply as unknown as [Buffer, Entry[]][] | null)?.[0]?.[1] ?? [];
  }

  async function readLane(lane: Priority, count: number): Promise<BareJob[]> {
    if (count <= 0) return [];
    return hold((await readGroup(lane, count, '>')).map((entry) => parseEntry(streams[lane], entry)));
  }

  /** Entries pending for this consumer that it never got, because the reply was lost with its connection. */
  async function readOwnPending(lane: Priority, count: number): Promise<BareJob[]> {
    const entries = await readGroup(lane, count, '0');
    return entries.map((entry) => parseEntry(streams[lane], entry)).filter((job) => !held.has(nameJob(job)));
  }

  async function takeOverStalled(lane: Priority, count: number): Promise<BareJob[]> {
    const stalled: BareJob[] = [];
    let cursor = '0-0';
    // One call looks at ten times the count: stalled jobs may stand behind more than that of what others renew.
    do {
      const rest = count - stalled.length;
      const range = [streams[lane], GROUP, worker, model.queue.visibilityMs, cursor, 'COUNT', rest];
      const [next, entries] = (await redis.callBuffer('XAUTOCLAIM', range)) as [Buffer, Entry[]];
      const jobs = entries.filter(([, fields]) => fields !== null).map((entry) => parseEntry(streams[lane], entry));
      stalled.push(...jobs.filter((job) => !held.has(nameJob(job))));
      cursor = next.toString();
    } while (cursor !== '0-0' && stalled.length < count);
    return stalled;
  }

  /** Has the backlogs fill the streams up to what this worker is about to claim; how many entries each lane has then. */
  async function feed(share: Record<Priority, number>, max: number): Promise<number[]> {
    const request = { version: model.version, lanes: PRIORITIES, share, max };
    const [hasBacklog, ...unclaimed] = (await runStep(redis, 'feed', keys, [JSON.stringify(request)])) as number[];
    expectsBacklog = hasBacklog === 1;
    wasFedBefore = true;
    return unclaimed;
  }

  /** Claims up to `max` into `jobs`: of each lane its share, then what others left free, the most urgent first. Lessens the shares. */
  async function claimShares(
    share: Record<Priority, number>,
    max: number,
    jobs: BareJob[],
    isFed: boolean,
  ): Promise<void> {
    // Sent together: Redis runs them in this order, in one round trip. The first time it may not know the script yet.
    const feeding = isFed ? feed(share, max) : undefined;
    if (!wasFedBefore) await feeding;
    feeding?.catch(() => undefined);
    const reads = await Promise.allSettled(PRIORITIES.map((lane) => readLane(lane, share[lane])));
    const batches = reads.map((read) => (read.status === 'fulfilled' ? read.value : []));
    jobs.push(...batches.flat());
    for (const read of reads) if (read.status === 'rejected') throw read.reason;
    const unclaimed = await feeding;
    let left = max - batches.flat().length;
    for (const [i, lane] of PRIORITIES.entries()) {
      const count = batches[i]!.length;
      // Without a feed nobody counted: a lane that gave its whole share may have more.
      const rest = unclaimed ? unclaimed[i]! - count : count === share[lane] ? left : 0;
      const more = await readLane(lane, Math.min(left, rest));
      jobs.push(...more);
      left -= more.length;
      share[lane] = Math.max(0, share[lane] - count - more.length);
    }
  }

  async function fetchHeldPixels(jobs: BareJob[]): Promise<ClaimedJob[]> {
    try {
      return await fetchPixels(jobs);
    } catch (error) {
      release(jobs);
      throw error;
    }
  }

  /** Apart from the specification, which is read often. A full Redis does not take them; the next sign of life tries again. */
  async function announceLabels(): Promise<void> {
    try {
      const versions = await redis.hkeys(keys.specs);
      const old = (await redis.hkeys(keys.labels)).filter((version) => !versions.includes(version));
      if (old.length > 0) await redis.hdel(keys.labels, ...old);
      await redis.hset(keys.labels, model.version, JSON.stringify(options.labels));
      hasLabels = true;
    } catch (error) {
      if (!isRedisUnavailable(error)) throw error;
    }
  }

  return {
    /**
     * Tells what this worker serves, once it is warm, and from then on that it is alive. To be called again every third of
     * WORKER_LIFETIME_MS.
     * @param leaving it only finishes what is queued: its version is not to become the current one again
     */
    async announce(record: WorkerRecord, { leaving = false } = {}): Promise<void> {
      const request = {
        worker,
        version: model.version,
        lifetimeMs: WORKER_LIFETIME_MS,
        first: !announced,
        leaving,
        lanes: PRIORITIES,
      };
      const changed = await runStep(redis, 'announce', keys, [
        JSON.stringify(request),
        JSON.stringify(record),
        JSON.stringify(model),
      ]);
      // A full Redis takes no new member, but a worker that comes to empty it is let in.
      if (!(await redis.sismember(registry.models, model.name))) await redis.sadd(registry.models, model.name);
      if (!hasLabels) await announceLabels();
      if (changed === 1 || !announced) await redis.publish(registry.changed, model.name);
      announced = true;
    },

    /** What waits, at most `max`, the lanes by their weights; at once, also when that is nothing. */
    async claim(max: number): Promise<ClaimedJob[]> {
      const share = lanes.share(max);
      const jobs: BareJob[] = [];
      try {
        const isFed = isFair && expectsBacklog;
        const looking = isFair && !isFed ? redis.exists(...backlogs) : undefined;
        looking?.catch(() => undefined);
        await claimShares(share, max, jobs, isFed);
        if ((await looking) && jobs.length < max) await claimShares(share, max - jobs.length, jobs, true);
        return await fetchPixels(jobs);
      } catch (error) {
        release(jobs);
        throw error;
      }
    },

    /** Blocks until something waits, at most a second; one job a lane at the most. */
    async waitForJobs(): Promise<ClaimedJob[]> {
      const reply = await blockingRedis.xreadgroupBuffer(
        'GROUP',
        GROUP,
        worker,
        'COUNT',
        1,
        'BLOCK',
        BLOCK_MS,
        'STREAMS',
        ...PRIORITIES.map((lane) => streams[lane]),
        ...PRIORITIES.map(() => '>'),
      );
      const byStream = (reply as unknown as [Buffer, Entry[]][] | null) ?? [];
      const jobs = byStream.flatMap(([stream, entries]) =>
        entries.map((entry) => parseEntry(stream.toString(), entry)),
      );
      return await fetchHeldPixels(hold(jobs));
    },

    /** Jobs that stalled with another worker, and those that a lost reply left with this one. */
    async recover(max: number): Promise<ClaimedJob[]> {
      const found: BareJob[] = [];
      const readOwn = mayMissReplies;
      mayMissReplies = false;
      try {
        for (const lane of PRIORITIES) {
          if (readOwn) found.push(...hold(await readOwnPending(lane, 1_000)));
          if (found.length < max) found.push(...hold(await takeOverStalled(lane, max - found.length)));
        }
        const attempts = await Promise.all(found.map((job) => redis.hget(`${keys.job}${job.jobId}`, 'attempts')));
        // One whose reader was lost may have been the one by which a backlog is found.
        if (isFair) await feed({ HIGH: 1, NORMAL: 1, LOW: 1 }, PRIORITIES.length);
        return (await fetchPixels(found)).map((job, i) => {
          const attempt = Number(attempts[i] ?? 0);
          held.set(nameJob(job), attempt);
          return { ...job, recovered: job.recovered || attempt > 0 };
        });
      } catch (error) {
        mayMissReplies ||= readOwn;
        release(found);
        throw error;
      }
    },

    /** Gives jobs up that can be neither run nor settled here: `recover` finds them again, here or elsewhere. */
    release,

    /** Begins an attempt of each; those that were canceled, expired or have no attempt left are not among the answer. */
    async start(jobs: ClaimedJob[]): Promise<StartedJob[]> {
      if (jobs.length === 0) return [];
      const request = {
        worker,
        jobs: jobs.map((job) => ({
          jobId: job.jobId,
          entryId: job.entryId,
          stream: job.stream,
          known: held.get(nameJob(job)) ?? 0,
        })),
      };
      const attempts = (await runStep(redis, 'start', keys, [JSON.stringify(request)])) as number[];
      return jobs.flatMap((job, i) => {
        const attempt = attempts[i]!;
        if (attempt > 0) {
          held.set(nameJob(job), attempt);
          return [{ job, attempt }];
        }
        held.delete(nameJob(job));
        return [];
      });
    },

    /** Keeps jobs from being taken over for another visibilityMs. To be called every third of it for all that is held. */
    async renew(jobs: ClaimedJob[]): Promise<void> {
      if (jobs.length === 0) return;
      await runStep(redis, 'renew', keys, [worker, ...jobs.flatMap(({ stream, entryId }) => [stream, entryId])]);
    },

    /** Ends attempts; a word each, in their order. */
    async settle(outcomes: Outcome[]): Promise<Settlement[]> {
      if (outcomes.length === 0) return [];
      const wire = outcomes.map((outcome) => {
        const { job, attempt } = outcome.started;
        return 'result' in outcome
          ? {
              jobId: job.jobId,
              attempt,
              result: JSON.stringify(outcome.result),
              inferenceMs: Math.round(outcome.inferenceMs * 100) / 100,
              batchSize: outcome.batchSize,
            }
          : { jobId: job.jobId, attempt, errorCode: outcome.errorCode, retryable: ERRORS[outcome.errorCode].retryable };
      });
      const settlements = (await runStep(redis, 'settle', keys, [JSON.stringify(wire)])) as Settlement[];
      settlements.forEach((settlement, i) => {
        if (settlement !== 'retry') held.delete(nameJob(outcomes[i]!.started.job));
      });
      return settlements;
    },

    /** Ends what has passed its deadline; how many that were. */
    async expireDue(): Promise<number> {
      return (await runStep(redis, 'expire', keys, [EXPIRE_AT_ONCE])) as number;
    },

    /**
     * Takes over what older versions of the model left behind once nobody serves them: what was prepared alike runs here, the rest
     * ends FAILED (VERSION_RETIRED) after the grace period in which an old worker might come back. How many jobs that were.
     */
    async adoptRetired(): Promise<number> {
      const specs = await redis.hgetall(keys.specs);
      let count = 0;
      for (const [version, text] of Object.entries(specs)) {
        if (version === 'current' || version === model.version || specs.current === version) continue;
        const old = ServedModel.safeParse(JSON.parse(text));
        const take = old.success && JSON.stringify(old.data.input) === JSON.stringify(model.input);
        const firstSeenMs = retiredSinceMs.get(version) ?? performance.now();
        retiredSinceMs.set(version, firstSeenMs);
        if (!take && performance.now() - firstSeenMs < model.queue.graceMs) continue;
        const request = { from: version, to: model.version, lanes: PRIORITIES, take, limit: ADOPT_AT_ONCE };
        count += (await runStep(redis, 'adopt', keys, [JSON.stringify(request)])) as number;
      }
      return count;
    },

    /** Whether nothing of this version waits or runs any more. */
    async isDrained(): Promise<boolean> {
      const lengths = await Promise.all(PRIORITIES.map((lane) => redis.xlen(streams[lane])));
      return lengths.every((length) => length === 0) && (await redis.exists(...backlogs)) === 0;
    },

    /**
     * Tells that this worker's repository has the version no longer; it is not to be announced after that.
     * @returns whether nobody else serves the version: it is not offered any more, and what still waits is this worker's to do
     */
    async withdraw(): Promise<boolean> {
      const wasLast = (await runStep(redis, 'withdraw', keys, [worker, model.version])) === 1;
      await redis.publish(registry.changed, model.name);
      return wasLast;
    },

    /** Takes this worker off the model. What a lost reply may have left with it is free for the others at once. */
    async leave(): Promise<void> {
      await runStep(redis, 'leave', keys, [worker, model.version, ...PRIORITIES]);
      await redis.publish(registry.changed, model.name);
    },
  };
}
