/** The worker's side of the queue, for one model version in one worker process: claim, start, extend leases, settle. */
import { jsonText, PRIORITIES, type Result, ServedModel, type WorkerRecord } from '../contract.ts';
import { ERRORS, type ErrorCode } from '../error-codes.ts';
import { EXPIRE_BATCH_SIZE, runStep } from '../lua/lua-steps.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { isRedisUnavailable } from '../redis/errors.ts';
import { type ModelKeys, modelKeys, type RegistryKeys, registryKeys } from '../redis/keys.ts';
import type { HeldJobs, JobEntry } from './held-jobs.ts';
import { JobClaims } from './job-claims.ts';
import type { ClaimedJob } from './stream-entry.ts';

export interface StartedJob {
  job: ClaimedJob;
  /** The attempt's number, 1 the first; fences later steps. */
  attempt: number;
}

export type Outcome =
  | { started: StartedJob; result: Result; batchSize: number; inferenceMs: number }
  | { started: StartedJob; errorCode: ErrorCode };

/** `retry`: failed with attempts left; start it again, alone. `gone`: it was canceled or has expired, or another worker was first. */
export type Settlement = 'settled' | 'retry' | 'gone';

/** A worker counts as gone if it sends no heartbeat for this long, in milliseconds. It sends one every third of this time. */
export const WORKER_LIFETIME_MS = 6_000;
/** How many jobs of a retired version one step moves at most, so that Redis is never blocked for long. */
const MIGRATE_BATCH_SIZE = 100;

/** One step settles results of at most this many characters, or a single one, so that Redis is never blocked for long. */
const SETTLE_LENGTH = 1_048_576;

const SpecText = jsonText(ServedModel, 'a specification');

/** Whether both versions need the same pixels. Parsed, the fields of both are in one order. */
function isSameInput(one: ServedModel['input'], other: ServedModel['input']): boolean {
  const [a, b] = [one, other].map((input) => JSON.stringify(ServedModel.shape.input.parse(input)));
  return a === b;
}

function toWire(outcome: Outcome, version: string): string {
  const { job, attempt } = outcome.started;
  return JSON.stringify(
    'result' in outcome
      ? {
          jobId: job.jobId,
          attempt,
          result: JSON.stringify(outcome.result),
          inferenceMs: Math.round(outcome.inferenceMs * 100) / 100,
          batchSize: outcome.batchSize,
          version,
        }
      : { jobId: job.jobId, attempt, errorCode: outcome.errorCode, retryable: ERRORS[outcome.errorCode].retryable },
  );
}

function inSteps(texts: readonly string[]): string[][] {
  const steps: string[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const text of texts) {
    if (length + text.length > SETTLE_LENGTH) {
      steps.push([]);
      length = 0;
    }
    steps.at(-1)!.push(text);
    length += text.length;
  }
  return steps;
}

export interface ConsumerOptions {
  /** A connection of the role 'work'. */
  redis: RedisConnection;
  /** A second one, of the role 'blocking', used only by this consumer. */
  blockingRedis: RedisConnection;
  prefix: string;
  model: ServedModel;
  /** The model's class names. */
  labels?: readonly string[] | undefined;
  /** The class names of its further heads, by head. */
  headLabels?: Readonly<Record<string, readonly string[]>> | undefined;
  /** A name that no other process has ever had. */
  worker: string;
  /** The worker counts as gone if it sends no heartbeat for this long. @default WORKER_LIFETIME_MS */
  lifetimeMs?: number;
}

/**
 * The worker's side of the queue, for one model version. Every call may be sent again after a lost connection.
 * @example
 * const consumer = new Consumer({ redis, blockingRedis, prefix: DEFAULT_PREFIX, model, worker });
 * await consumer.register({ worker, version: model.version, engine: model.engine, startedAtMs: Date.now() });
 * const batch = await consumer.start(await consumer.claim(8));
 * await consumer.settle(
 *   batch.map((started) => ({ started, result: { labels: [] }, batchSize: batch.length, inferenceMs: 12 })),
 * );
 */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #keys: ModelKeys;
  readonly #registry: RegistryKeys;
  readonly #claims: JobClaims;
  /** Since when nobody serves an older version of the model, as far as this worker has seen, by this process' clock. */
  readonly #unservedSinceMs = new Map<string, number>();
  #registered = false;

  constructor(options: ConsumerOptions) {
    const { redis, blockingRedis, prefix, model, worker } = options;
    this.#options = options;
    this.#keys = modelKeys(prefix, model.name);
    this.#registry = registryKeys(prefix);
    this.#claims = new JobClaims({ redis, blockingRedis, keys: this.#keys, model, worker });
  }

  /** The jobs that were claimed here and have neither ended nor been released. */
  get held(): HeldJobs {
    return this.#claims.held;
  }

  /**
   * Registers what this worker serves once it is warm, and sends its heartbeat. Call it again every third of WORKER_LIFETIME_MS.
   * @param leaving the worker only finishes what is queued: its version must not become the current one again
   */
  async register(record: WorkerRecord, { leaving = false } = {}): Promise<void> {
    const { redis, model, worker, lifetimeMs = WORKER_LIFETIME_MS } = this.#options;
    const request = {
      worker,
      version: model.version,
      lifetimeMs,
      first: !this.#registered,
      leaving,
      lanes: PRIORITIES,
    };
    const changed = await runStep(redis, 'register', this.#keys, [
      JSON.stringify(request),
      JSON.stringify(record),
      JSON.stringify(model),
    ]);
    // A full Redis refuses new members, but a worker that will drain it must be accepted.
    const { models } = this.#registry;
    if (!(await redis.sismember(models, model.name))) await redis.sadd(models, model.name);
    await this.#registerLabels();
    if (changed === 1 || !this.#registered) await this.#publishChange();
    this.#registered = true;
  }

  /** Claims up to `max` waiting jobs, from the lanes by weight. Returns at once, even if no job waits. */
  claim(max: number): Promise<ClaimedJob[]> {
    return this.#claims.claim(max);
  }

  /** Blocks until a job waits, for at most a second. Claims at most one job per lane. */
  waitForJobs(): Promise<ClaimedJob[]> {
    return this.#claims.waitForJobs();
  }

  /** Reclaims jobs that stalled with another worker, and jobs that this worker claimed in a reply that was lost. */
  reclaim(max: number): Promise<ClaimedJob[]> {
    return this.#claims.reclaim(max);
  }

  /** Gives up jobs that this worker can neither run nor settle. `reclaim` finds them again, here or in another worker. */
  release(jobs: readonly JobEntry[]): void {
    this.#claims.release(jobs);
  }

  /** Whether no job of this version waits or runs. */
  isDrained(): Promise<boolean> {
    return this.#claims.isDrained();
  }

  /** Starts an attempt of each job. Jobs that were canceled, have expired or have no attempts left are not returned. */
  async start(jobs: ClaimedJob[]): Promise<StartedJob[]> {
    if (jobs.length === 0) return [];
    const { redis, worker } = this.#options;
    const request = {
      worker,
      jobs: jobs.map((job) => ({
        jobId: job.jobId,
        entryId: job.entryId,
        stream: job.stream,
        known: this.held.attemptOf(job),
      })),
    };
    const attempts = (await runStep(redis, 'start', this.#keys, [JSON.stringify(request)])) as number[];
    const started = jobs.flatMap((job, i) => (attempts[i]! > 0 ? [{ job, attempt: attempts[i]! }] : []));
    for (const { job, attempt } of started) this.held.noteAttempt(job, attempt);
    this.held.remove(jobs.filter((_job, i) => attempts[i]! <= 0));
    return started;
  }

  /** Extends the leases of jobs by visibilityMs from now. Call it every third of visibilityMs for all held jobs. */
  async extendLeases(jobs: readonly JobEntry[]): Promise<void> {
    if (jobs.length === 0) return;
    const { redis, worker } = this.#options;
    const entries = jobs.flatMap(({ stream, entryId }) => [stream, entryId]);
    await runStep(redis, 'extend-leases', this.#keys, [worker, ...entries]);
  }

  /** Settles attempts. Returns one word per attempt, in order. If sent again, it settles only those that have not ended. */
  async settle(outcomes: Outcome[]): Promise<Settlement[]> {
    const settlements: Settlement[] = [];
    const { version } = this.#options.model;
    for (const step of inSteps(outcomes.map((outcome) => toWire(outcome, version)))) {
      const reply = await runStep(this.#options.redis, 'settle', this.#keys, [`[${step.join()}]`]);
      settlements.push(...(reply as Settlement[]));
    }
    const ended = outcomes.filter((_outcome, i) => settlements[i] !== 'retry');
    this.held.remove(ended.map(({ started }) => started.job));
    return settlements;
  }

  /** Expires predictions whose deadline has passed. Returns how many. */
  async expireDue(): Promise<number> {
    return (await runStep(this.#options.redis, 'expire', this.#keys, [EXPIRE_BATCH_SIZE])) as number;
  }

  /**
   * Takes over the jobs of older versions that no worker serves anymore. Jobs whose images were prepared in the same way run here; the
   * others end FAILED (VERSION_RETIRED) after the grace period, during which an old worker might return. Returns how many jobs.
   */
  async migrateRetired(): Promise<number> {
    const { redis, model } = this.#options;
    const specs = await redis.hgetall(this.#keys.specs);
    for (const version of this.#unservedSinceMs.keys()) if (!(version in specs)) this.#unservedSinceMs.delete(version);
    let count = 0;
    for (const [version, text] of Object.entries(specs)) {
      if (version === 'current' || version === model.version) continue;
      const old = SpecText.safeParse(text);
      const take = old.success && isSameInput(old.data.input, model.input);
      if (take || (await this.#isGraceOver(version))) count += Math.max(0, await this.#migrate(version, take));
    }
    return count;
  }

  /** Whether nobody has served an old version for its model's grace period, as far as this worker has seen. */
  async #isGraceOver(version: string): Promise<boolean> {
    const isUnserved = (await this.#migrate(version, false, 0)) === 0;
    if (!isUnserved) {
      this.#unservedSinceMs.delete(version);
      return false;
    }
    const sinceMs = this.#unservedSinceMs.get(version) ?? performance.now();
    this.#unservedSinceMs.set(version, sinceMs);
    return performance.now() - sinceMs >= this.#options.model.queue.graceMs;
  }

  /** @returns how many jobs, -1 if a worker serves the version or it is the current one */
  async #migrate(from: string, take: boolean, limit = MIGRATE_BATCH_SIZE): Promise<number> {
    const { redis, model } = this.#options;
    const request = { from, to: model.version, lanes: PRIORITIES, take, limit };
    return (await runStep(redis, 'migrate-retired', this.#keys, [JSON.stringify(request)])) as number;
  }

  /**
   * Withdraws the version, because it is no longer in this worker's repository. Do not register it after that.
   * @returns true if no other worker serves the version: then it is no longer offered, and this worker must finish the waiting jobs
   */
  async withdraw(): Promise<boolean> {
    const { redis, model, worker } = this.#options;
    const wasLast = (await runStep(redis, 'withdraw-worker', this.#keys, [worker, model.version])) === 1;
    await this.#publishChange();
    return wasLast;
  }

  /** Removes this worker from the model. Jobs that it claimed in a lost reply become free for others at once. */
  async deregister(): Promise<void> {
    const { redis, model, worker } = this.#options;
    await runStep(redis, 'deregister', this.#keys, [worker, model.version, ...PRIORITIES]);
    await this.#publishChange();
  }

  async #publishChange(): Promise<void> {
    await this.#options.redis.publish(this.#registry.changed, this.#options.model.name);
  }

  /**
   * Stored separately from the specification, which is read often. Each heartbeat looks whether they are there: Redis may have lost them, and
   * a full Redis refuses them.
   */
  async #registerLabels(): Promise<void> {
    const { redis, model, labels, headLabels } = this.#options;
    const keys = this.#keys;
    if (!labels) return;
    try {
      // The class names are written last: if they are there, so are those of the heads.
      if ((await redis.hkeys(keys.labels)).includes(model.version)) return;
      const versions = await redis.hkeys(keys.specs);
      for (const [key, names] of [
        [keys.headLabels, headLabels],
        [keys.labels, labels],
      ] as const) {
        const old = (await redis.hkeys(key)).filter((version) => !versions.includes(version));
        if (old.length > 0) await redis.hdel(key, ...old);
        if (names) await redis.hset(key, model.version, JSON.stringify(names));
      }
    } catch (error) {
      if (!isRedisUnavailable(error)) throw error;
    }
  }
}
