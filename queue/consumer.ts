/** The worker's side of the queue, for one model version in one worker process: claim, start, renew, settle. */
import { createClaimedJobs } from './claimed-jobs.ts';
import { PRIORITIES, type Result, ServedModel, type WorkerRecord } from './contract.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import { modelKeys, registryKeys } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { isRedisUnavailable } from './redis-errors.ts';
import { EXPIRE_BATCH_SIZE, runStep } from './scripts.ts';
import type { ClaimedJob } from './stream-entry.ts';

export interface StartedJob {
  job: ClaimedJob;
  /** The attempt's number, 1 the first; fences later steps. */
  attempt: number;
}

export type Outcome =
  | { started: StartedJob; result: Result; batchSize: number; inferenceMs: number }
  | { started: StartedJob; errorCode: ErrorCode };

/** `retry`: failed with attempts left, start it again, alone. `gone`: it was canceled, expired, or another worker was first. */
export type Settlement = 'settled' | 'retry' | 'gone';

export type Consumer = ReturnType<typeof createConsumer>;

/** A worker counts as gone if it sent no heartbeat for this long; it sends one every third of it. */
export const WORKER_LIFETIME_MS = 6_000;
/** How many jobs of a retired version one step moves at most, so that Redis is never blocked for long. */
const MIGRATE_BATCH_SIZE = 100;

/** One step settles results of at most this many characters, or a single one, so that Redis is never blocked for long. */
const SETTLE_LENGTH = 1_048_576;

function toWire(outcome: Outcome): string {
  const { job, attempt } = outcome.started;
  return JSON.stringify(
    'result' in outcome
      ? {
          jobId: job.jobId,
          attempt,
          result: JSON.stringify(outcome.result),
          inferenceMs: Math.round(outcome.inferenceMs * 100) / 100,
          batchSize: outcome.batchSize,
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

/**
 * Every call may be sent again after a lost connection.
 * @param redis a connection of the role 'work'
 * @param blockingRedis a second one, of the role 'blocking', used only by this consumer
 * @param worker a name that no other process has or had
 */
export function createConsumer(options: {
  redis: RedisConnection;
  blockingRedis: RedisConnection;
  prefix: string;
  model: ServedModel;
  /** The model's class names. */
  labels?: readonly string[] | undefined;
  /** The class names of its further heads, by head. */
  headLabels?: Readonly<Record<string, readonly string[]>> | undefined;
  worker: string;
}) {
  const { redis, blockingRedis, prefix, model, worker } = options;
  const keys = modelKeys(prefix, model.name);
  const registry = registryKeys(prefix);
  /** When this worker first saw an older version of its model, by this process' clock. */
  const retiredSinceMs = new Map<string, number>();
  let registered = false;
  let hasLabels = options.labels === undefined;
  const claims = createClaimedJobs({ redis, blockingRedis, keys, model, worker });

  /** Kept apart from the specification, which is read often. A full Redis refuses them; the next heartbeat tries again. */
  async function registerLabels(): Promise<void> {
    try {
      const versions = await redis.hkeys(keys.specs);
      for (const [key, names] of [
        [keys.labels, options.labels],
        [keys.headLabels, options.headLabels],
      ] as const) {
        const old = (await redis.hkeys(key)).filter((version) => !versions.includes(version));
        if (old.length > 0) await redis.hdel(key, ...old);
        if (names) await redis.hset(key, model.version, JSON.stringify(names));
      }
      hasLabels = true;
    } catch (error) {
      if (!isRedisUnavailable(error)) throw error;
    }
  }

  return {
    /**
     * Registers what this worker serves once it is warm, and sends its heartbeat. Call it again every third of WORKER_LIFETIME_MS.
     * @param leaving the worker only finishes what is queued: its version must not become the current one again
     */
    async register(record: WorkerRecord, { leaving = false } = {}): Promise<void> {
      const request = {
        worker,
        version: model.version,
        lifetimeMs: WORKER_LIFETIME_MS,
        first: !registered,
        leaving,
        lanes: PRIORITIES,
      };
      const changed = await runStep(redis, 'register', keys, [
        JSON.stringify(request),
        JSON.stringify(record),
        JSON.stringify(model),
      ]);
      // A full Redis refuses new members, but a worker that will drain it must be accepted.
      if (!(await redis.sismember(registry.models, model.name))) await redis.sadd(registry.models, model.name);
      if (!hasLabels) await registerLabels();
      if (changed === 1 || !registered) await redis.publish(registry.changed, model.name);
      registered = true;
    },

    claim: claims.claim,
    waitForJobs: claims.waitForJobs,
    reclaim: claims.reclaim,
    release: claims.release,
    isDrained: claims.isDrained,

    /** Begins an attempt of each job. Jobs that were canceled, have expired or have no attempt left are not in the answer. */
    async start(jobs: ClaimedJob[]): Promise<StartedJob[]> {
      if (jobs.length === 0) return [];
      const request = {
        worker,
        jobs: jobs.map((job) => ({
          jobId: job.jobId,
          entryId: job.entryId,
          stream: job.stream,
          known: claims.knownAttempt(job),
        })),
      };
      const attempts = (await runStep(redis, 'start', keys, [JSON.stringify(request)])) as number[];
      return jobs.flatMap((job, i) => {
        const attempt = attempts[i]!;
        if (attempt > 0) {
          claims.noteAttempt(job, attempt);
          return [{ job, attempt }];
        }
        claims.forget(job);
        return [];
      });
    },

    /** Renews the leases of jobs for another visibilityMs. Call it every third of that for all held jobs. */
    async extendLeases(jobs: ClaimedJob[]): Promise<void> {
      if (jobs.length === 0) return;
      await runStep(redis, 'extend-leases', keys, [
        worker,
        ...jobs.flatMap(({ stream, entryId }) => [stream, entryId]),
      ]);
    },

    /** Ends attempts. Returns one word per attempt, in their order. Sent again it ends only what has not ended. */
    async settle(outcomes: Outcome[]): Promise<Settlement[]> {
      const settlements: Settlement[] = [];
      for (const step of inSteps(outcomes.map(toWire))) {
        settlements.push(...((await runStep(redis, 'settle', keys, [`[${step.join()}]`])) as Settlement[]));
      }
      settlements.forEach((settlement, i) => {
        if (settlement !== 'retry') claims.forget(outcomes[i]!.started.job);
      });
      return settlements;
    },

    /** Expires predictions whose deadline has passed. Returns how many. */
    async expireDue(): Promise<number> {
      return (await runStep(redis, 'expire', keys, [EXPIRE_BATCH_SIZE])) as number;
    },

    /**
     * Takes the jobs of older versions that nobody serves any more. Jobs whose images were prepared alike run here; the others end
     * FAILED (VERSION_RETIRED) after the grace period in which an old worker might come back. Returns how many jobs.
     */
    async migrateRetired(): Promise<number> {
      const specs = await redis.hgetall(keys.specs);
      let count = 0;
      for (const [version, text] of Object.entries(specs)) {
        if (version === 'current' || version === model.version || specs.current === version) continue;
        const old = ServedModel.safeParse(JSON.parse(text));
        const take = old.success && JSON.stringify(old.data.input) === JSON.stringify(model.input);
        const firstSeenMs = retiredSinceMs.get(version) ?? performance.now();
        retiredSinceMs.set(version, firstSeenMs);
        if (!take && performance.now() - firstSeenMs < model.queue.graceMs) continue;
        const request = { from: version, to: model.version, lanes: PRIORITIES, take, limit: MIGRATE_BATCH_SIZE };
        count += (await runStep(redis, 'migrate-retired', keys, [JSON.stringify(request)])) as number;
      }
      return count;
    },

    /**
     * Withdraws the version, which this worker's repository has no longer. Do not register it after that.
     * @returns whether nobody else serves the version: then it is no longer offered, and this worker must finish what still waits
     */
    async withdraw(): Promise<boolean> {
      const wasLast = (await runStep(redis, 'withdraw', keys, [worker, model.version])) === 1;
      await redis.publish(registry.changed, model.name);
      return wasLast;
    },

    /** Removes this worker from the model. Jobs that a lost reply left with it are free for others at once. */
    async deregister(): Promise<void> {
      await runStep(redis, 'deregister', keys, [worker, model.version, ...PRIORITIES]);
      await redis.publish(registry.changed, model.name);
    },
  };
}
