/** The jobs of a model version that one worker holds: claims new ones, reclaims stalled ones, and finds those that a lost reply left. */
import { imageByteLength, PRIORITIES, type Priority, type ServedModel } from './contract.ts';
import { activeTenantsKey, GROUP, type ModelKeys, streamKey } from './keys.ts';
import { createPriorityScheduler } from './priority-scheduler.ts';
import type { RedisConnection } from './redis-connection.ts';
import { runStep } from './scripts.ts';
import { addPixels, type BareJob, type ClaimedJob, type Entry, parseEntry } from './stream-entry.ts';

/** Longest blocking read, which bounds how long a draining worker waits for it. */
const BLOCK_MS = 1_000;

/** Identifies a claimed job by its entry. */
type InHand = Pick<ClaimedJob, 'stream' | 'entryId'>;

/** Entry ids are unique per stream only: two lanes give the same id to jobs that arrive in the same millisecond. */
const nameJob = ({ stream, entryId }: InHand) => `${stream} ${entryId}`;

/**
 * @param redis a connection of the role 'work'
 * @param blockingRedis a second one, of the role 'blocking', used only by this worker and model
 */
export function createClaimedJobs(options: {
  redis: RedisConnection;
  blockingRedis: RedisConnection;
  keys: ModelKeys;
  model: ServedModel;
  worker: string;
}) {
  const { redis, blockingRedis, keys, model, worker } = options;
  const streams = Object.fromEntries(PRIORITIES.map((lane) => [lane, streamKey(keys, model.version, lane)])) as Record<
    Priority,
    string
  >;
  /** Each exists while its lane has a backlog. */
  const backlogs = PRIORITIES.map((lane) => activeTenantsKey(keys, model.version, lane));
  const priorities = createPriorityScheduler();
  /** Claimed entries, each with the latest attempt known here. Other entries pending for this worker were lost with a reply. */
  const held = new Map<string, number>();
  let mayMissReplies = false;
  blockingRedis.on('close', () => {
    mayMissReplies = true;
  });
  redis.on('close', () => {
    mayMissReplies = true;
  });

  /** Whether the last call saw a backlog, so that the next claim feeds the streams first. */
  let expectsBacklog = false;
  let wasFedBefore = false;

  /** The jobs with their pixels. If a job's hash is gone, the job has ended; the start step reports that. */
  async function fetchPixels(jobs: BareJob[]): Promise<ClaimedJob[]> {
    return await Promise.all(
      jobs.map(async (job) => {
        const image = job.image ?? (await redis.hgetBuffer(`${keys.job}${job.jobId}`, 'image'));
        return addPixels(job, image ?? Buffer.alloc(0), imageByteLength(model.input));
      }),
    );
  }

  /** Records jobs as claimed, except those already recorded: a late reply may hold what was redelivered meanwhile. */
  function hold(jobs: BareJob[]): BareJob[] {
    const fresh = jobs.filter((job) => !held.has(nameJob(job)));
    for (const job of fresh) held.set(nameJob(job), 0);
    return fresh;
  }

  function release(jobs: InHand[]): void {
    for (const job of jobs) held.delete(nameJob(job));
    if (jobs.length > 0) mayMissReplies = true;
  }

  /** @param after '>': unclaimed entries; '0': entries pending for this worker */
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

  async function claimStalled(lane: Priority, count: number): Promise<BareJob[]> {
    const stalled: BareJob[] = [];
    let cursor = '0-0';
    // One call scans ten times the count, and stalled jobs may come after more than that many jobs whose leases others extend.
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

  /** Moves jobs from the backlogs to the streams, as many as this worker is about to claim. Returns how many entries each lane then has. */
  async function feed(share: Record<Priority, number>, max: number): Promise<number[]> {
    const request = { version: model.version, lanes: PRIORITIES, share, max };
    const [hasBacklog, ...unclaimed] = (await runStep(redis, 'feed', keys, [JSON.stringify(request)])) as number[];
    expectsBacklog = hasBacklog === 1;
    wasFedBefore = true;
    return unclaimed;
  }

  /** Claims up to `max` into `jobs`: first each lane's share, then what other lanes left free, the most urgent first. Reduces the shares. */
  async function claimShares(
    share: Record<Priority, number>,
    max: number,
    jobs: BareJob[],
    isFed: boolean,
  ): Promise<void> {
    // Sent together, Redis runs them in this order in one round trip. The first time it may not know the script yet.
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
      // Without a feed there are no counts: a lane that gave its whole share may have more.
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

  return {
    /** Claims up to `max` waiting jobs, from the lanes by their weights. Returns at once, even if nothing waits. */
    async claim(max: number): Promise<ClaimedJob[]> {
      const share = priorities.share(max);
      const jobs: BareJob[] = [];
      try {
        const isFed = expectsBacklog;
        const looking = !isFed ? redis.exists(...backlogs) : undefined;
        looking?.catch(() => undefined);
        await claimShares(share, max, jobs, isFed);
        if ((await looking) && jobs.length < max) await claimShares(share, max - jobs.length, jobs, true);
        return await fetchPixels(jobs);
      } catch (error) {
        release(jobs);
        throw error;
      }
    },

    /** Blocks until something waits, at most a second. Claims at most one job per lane. */
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

    /** Reclaims jobs that stalled with another worker, and those that a lost reply left with this one. */
    async reclaim(max: number): Promise<ClaimedJob[]> {
      const found: BareJob[] = [];
      const readOwn = mayMissReplies;
      mayMissReplies = false;
      try {
        for (const lane of PRIORITIES) {
          if (readOwn) found.push(...hold(await readOwnPending(lane, 1_000)));
          if (found.length < max) found.push(...hold(await claimStalled(lane, max - found.length)));
        }
        const attempts = await Promise.all(found.map((job) => redis.hget(`${keys.job}${job.jobId}`, 'attempts')));
        // Its entry may have been the one that would have reported a backlog.
        await feed({ HIGH: 1, NORMAL: 1, LOW: 1 }, PRIORITIES.length);
        return (await fetchPixels(found)).map((job, i) => {
          const attempt = Number(attempts[i] ?? 0);
          held.set(nameJob(job), attempt);
          return { ...job, redelivered: job.redelivered || attempt > 0 };
        });
      } catch (error) {
        mayMissReplies ||= readOwn;
        release(found);
        throw error;
      }
    },

    /** Gives up jobs that can be neither run nor settled here: `reclaim` finds them again, here or elsewhere. */
    release,

    /** The latest attempt of a claimed job that this worker knows of; 0 before the first. */
    knownAttempt: (job: InHand): number => held.get(nameJob(job)) ?? 0,

    /** Records that an attempt of a claimed job has begun. */
    noteAttempt(job: InHand, attempt: number): void {
      held.set(nameJob(job), attempt);
    },

    /** Records that a claimed job has ended. */
    forget(job: InHand): void {
      held.delete(nameJob(job));
    },

    /** Whether nothing of this version waits or runs any more. */
    async isDrained(): Promise<boolean> {
      const lengths = await Promise.all(PRIORITIES.map((lane) => redis.xlen(streams[lane])));
      return lengths.every((length) => length === 0) && (await redis.exists(...backlogs)) === 0;
    },
  };
}
