/** Claims jobs of a model version for one worker: new ones, stalled ones of other workers, and its own from lost replies. */
import { imageByteLength, PRIORITIES, type Priority, type ServedModel } from '../contract.ts';
import { runStep } from '../lua/lua-steps.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { type ConnectionLosses, watchLosses } from '../redis/connection-losses.ts';
import { activeTenantsKey, GROUP, type ModelKeys, streamKey } from '../redis/keys.ts';
import { HeldJobs, type JobEntry } from './held-jobs.ts';
import { createPriorityScheduler, usePlaces } from './priority-scheduler.ts';
import { addPixels, type BareJob, type ClaimedJob, type Entry, parseEntry } from './stream-entry.ts';

/** Longest blocking read, which bounds how long a draining worker waits for it. */
const BLOCK_MS = 1_000;

export interface JobClaimsOptions {
  /** A connection of the role 'work'. */
  redis: RedisConnection;
  /** A second one, of the role 'blocking', used only by this worker and model. */
  blockingRedis: RedisConnection;
  keys: ModelKeys;
  model: ServedModel;
  worker: string;
}

export class JobClaims {
  /** Other entries that are pending for this worker were lost with a reply. */
  readonly held = new HeldJobs();
  readonly #options: JobClaimsOptions;
  readonly #streams: Record<Priority, string>;
  /** The end of a command that reads all lanes. */
  readonly #allLanes: string[];
  /** Each exists while its lane has a backlog. */
  readonly #backlogs: string[];
  readonly #priorities = createPriorityScheduler();
  #mayMissReplies = false;
  readonly #losses: readonly ConnectionLosses[];
  #seenLosses: number;
  /** Whether the last call saw a backlog, so that the next claim feeds the streams first. */
  #expectsBacklog = false;
  #wasFedBefore = false;

  constructor(options: JobClaimsOptions) {
    this.#options = options;
    const { redis, blockingRedis, keys, model } = options;
    this.#streams = Object.fromEntries(
      PRIORITIES.map((lane) => [lane, streamKey(keys, model.version, lane)]),
    ) as Record<Priority, string>;
    this.#allLanes = [...PRIORITIES.map((lane) => this.#streams[lane]), ...PRIORITIES.map(() => '>')];
    this.#backlogs = PRIORITIES.map((lane) => activeTenantsKey(keys, model.version, lane));
    this.#losses = [watchLosses(blockingRedis), watchLosses(redis)];
    this.#seenLosses = this.#countLosses();
  }

  #countLosses(): number {
    return this.#losses.reduce((sum, { count }) => sum + count, 0);
  }

  /** Claims up to `max` waiting jobs, from the lanes by weight. Returns at once, even if no job waits. */
  async claim(max: number): Promise<ClaimedJob[]> {
    const jobs: BareJob[] = [];
    try {
      const share = this.#priorities.share(max);
      const isFed = this.#expectsBacklog;
      const looking = !isFed ? this.#options.redis.exists(...this.#backlogs) : undefined;
      looking?.catch(() => undefined);
      const first = !isFed && this.#mayReadFirst(max) ? await this.#claimFirst(share, jobs) : undefined;
      // A lane that cannot be read must not keep the others from being read.
      if (!first) await this.#claimShares(share, max, jobs, isFed);
      if ((await looking) && jobs.length < max) await this.#claimShares(share, max - jobs.length, jobs, true);
      else for (const lane of first ?? []) jobs.push(...(await this.#readLane(lane, max - jobs.length)));
      return await this.#fetchPixels(jobs);
    } catch (error) {
      this.release(jobs);
      throw error;
    }
  }

  /** Blocks until a job waits, for at most a second. Claims at most one job per lane. */
  async waitForJobs(): Promise<ClaimedJob[]> {
    const { blockingRedis, worker } = this.#options;
    const reply = await blockingRedis.xreadgroupBuffer(
      'GROUP',
      GROUP,
      worker,
      'COUNT',
      1,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      ...this.#allLanes,
    );
    const jobs = this.#hold(reply);
    try {
      return await this.#fetchPixels(jobs);
    } catch (error) {
      this.release(jobs);
      throw error;
    }
  }

  /** Reclaims jobs that stalled with another worker, and jobs that this worker claimed in a reply that was lost. */
  async reclaim(max: number): Promise<ClaimedJob[]> {
    const { redis, keys } = this.#options;
    const found: BareJob[] = [];
    const losses = this.#countLosses();
    const readOwn = this.#mayMissReplies || losses !== this.#seenLosses;
    this.#mayMissReplies = false;
    this.#seenLosses = losses;
    try {
      for (const lane of PRIORITIES) {
        if (readOwn) found.push(...this.held.add(await this.#readOwnPending(lane, 1_000)));
        if (found.length < max) found.push(...this.held.add(await this.#claimStalled(lane, max - found.length)));
      }
      const attempts = await Promise.all(found.map((job) => redis.hget(`${keys.job}${job.jobId}`, 'attempts')));
      return (await this.#fetchPixels(found)).map((job, i) => {
        const attempt = Number(attempts[i] ?? 0);
        this.held.noteAttempt(job, attempt);
        return { ...job, redelivered: job.redelivered || attempt > 0 };
      });
    } catch (error) {
      this.#mayMissReplies ||= readOwn;
      this.release(found);
      throw error;
    }
  }

  /** Gives up jobs that this worker can neither run nor settle. `reclaim` finds them again, here or in another worker. */
  release(jobs: readonly JobEntry[]): void {
    this.held.remove(jobs);
    if (jobs.length > 0) this.#mayMissReplies = true;
  }

  /** Whether no job of this version waits or runs. */
  async isDrained(): Promise<boolean> {
    const { redis } = this.#options;
    const lengths = await Promise.all(PRIORITIES.map((lane) => redis.xlen(this.#streams[lane])));
    return lengths.every((length) => length === 0) && (await redis.exists(...this.#backlogs)) === 0;
  }

  /** With fair shares hardly more than a lane's next job is in its stream. Otherwise all are, and each lane is read up to its share. */
  #mayReadFirst(max: number): boolean {
    return this.#options.model.queue.fairShares === true && max >= PRIORITIES.length;
  }

  /**
   * Claims the first job of each lane in one command, into `jobs`: mostly nothing waits, or one job. Reduces the shares.
   * @returns the lanes that had one, or undefined if they cannot be read
   */
  async #claimFirst(share: Record<Priority, number>, jobs: BareJob[]): Promise<Priority[] | undefined> {
    const { redis, worker } = this.#options;
    const read = redis.xreadgroupBuffer('GROUP', GROUP, worker, 'COUNT', 1, 'STREAMS', ...this.#allLanes);
    const reply = await read.catch(() => undefined);
    if (reply === undefined) return undefined;
    const first = this.#hold(reply);
    jobs.push(...first);
    const lanes = PRIORITIES.filter((lane) => first.some(({ stream }) => stream === this.#streams[lane]));
    for (const lane of lanes) usePlaces(share, lane, 1);
    return lanes;
  }

  /** Claims up to `max` into `jobs`: first each lane's share, then what other lanes left free, the most urgent first. Reduces the shares. */
  async #claimShares(share: Record<Priority, number>, max: number, jobs: BareJob[], isFed: boolean): Promise<void> {
    // Sent together, Redis runs them in this order in one round trip. The first time it may not know the script yet.
    const feeding = isFed ? this.#feed(share, max) : undefined;
    if (!this.#wasFedBefore) await feeding;
    feeding?.catch(() => undefined);
    const reads = await Promise.allSettled(PRIORITIES.map((lane) => this.#readLane(lane, share[lane])));
    const batches = reads.map((read) => (read.status === 'fulfilled' ? read.value : []));
    jobs.push(...batches.flat());
    for (const read of reads) if (read.status === 'rejected') throw read.reason;
    const unclaimed = await feeding;
    const counts = batches.map((batch) => batch.length);
    // Without a feed it is not known what each lane has: one that gave its whole share may have more.
    const mayHaveMore = PRIORITIES.map((lane, i) => counts[i] === share[lane]);
    for (const [i, lane] of PRIORITIES.entries()) usePlaces(share, lane, counts[i]!);
    let left = max - batches.flat().length;
    for (const [i, lane] of PRIORITIES.entries()) {
      const rest = unclaimed ? unclaimed[i]! - counts[i]! : mayHaveMore[i] ? left : 0;
      const more = await this.#readLane(lane, Math.min(left, rest));
      jobs.push(...more);
      left -= more.length;
      usePlaces(share, lane, more.length);
    }
  }

  /** Moves jobs from the backlogs to the streams, as many as this worker is about to claim. Returns how many entries each lane then has. */
  async #feed(share: Record<Priority, number>, max: number): Promise<number[]> {
    const { redis, keys, model } = this.#options;
    const request = { version: model.version, lanes: PRIORITIES, share, max };
    const [hasBacklog, ...unclaimed] = (await runStep(redis, 'feed', keys, [JSON.stringify(request)])) as number[];
    this.#expectsBacklog = hasBacklog === 1;
    this.#wasFedBefore = true;
    return unclaimed;
  }

  async #readLane(lane: Priority, count: number): Promise<BareJob[]> {
    if (count <= 0) return [];
    const entries = await this.#readGroup(lane, count, '>');
    return this.held.add(entries.map((entry) => parseEntry(this.#streams[lane], entry)));
  }

  /** Takes the jobs of a reply to a read of all lanes. */
  #hold(reply: unknown): BareJob[] {
    const byStream = (reply as [Buffer, Entry[]][] | null) ?? [];
    return this.held.add(
      byStream.flatMap(([stream, entries]) => entries.map((entry) => parseEntry(stream.toString(), entry))),
    );
  }

  /** Entries pending for this consumer. Those that it does not hold it never got: the reply was lost with its connection. */
  async #readOwnPending(lane: Priority, count: number): Promise<BareJob[]> {
    const entries = await this.#readGroup(lane, count, '0');
    return entries.map((entry) => parseEntry(this.#streams[lane], entry));
  }

  async #claimStalled(lane: Priority, count: number): Promise<BareJob[]> {
    const { redis, worker, model } = this.#options;
    const stream = this.#streams[lane];
    const stalled: BareJob[] = [];
    let cursor = '0-0';
    // One call scans ten times the count, and stalled jobs may come after more than that many jobs whose leases others extend.
    do {
      const rest = count - stalled.length;
      const range = [stream, GROUP, worker, model.queue.visibilityMs, cursor, 'COUNT', rest];
      const [next, entries] = (await redis.callBuffer('XAUTOCLAIM', range)) as [Buffer, Entry[]];
      const jobs = entries.map((entry) => parseEntry(stream, entry));
      stalled.push(...jobs.filter((job) => !this.held.has(job)));
      cursor = next.toString();
    } while (cursor !== '0-0' && stalled.length < count);
    return stalled;
  }

  /** @param after '>': unclaimed entries; '0': entries pending for this worker */
  async #readGroup(lane: Priority, count: number, after: '>' | '0'): Promise<Entry[]> {
    const { redis, worker } = this.#options;
    const stream = this.#streams[lane];
    const reply = await redis.xreadgroupBuffer('GROUP', GROUP, worker, 'COUNT', count, 'STREAMS', stream, after);
    return (reply as unknown as [Buffer, Entry[]][] | null)?.[0]?.[1] ?? [];
  }

  /** The jobs with their pixels. If a job's hash is gone, the job has ended; the start step reports that. */
  async #fetchPixels(jobs: BareJob[]): Promise<ClaimedJob[]> {
    const { redis, keys, model } = this.#options;
    return await Promise.all(
      jobs.map(async (job) => {
        const image = job.image ?? (await redis.hgetBuffer(`${keys.job}${job.jobId}`, 'image'));
        return addPixels(job, image ?? Buffer.alloc(0), imageByteLength(model.input));
      }),
    );
  }
}
