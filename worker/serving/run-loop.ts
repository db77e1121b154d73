/**
 * The second of the worker's two loops: takes a batch, runs it, settles it. lease-timers.ts keeps its leases meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, Outcome, StartedJob } from '@inferql/queue/consumer';
import type { ServedModel } from '@inferql/queue/contract';
import { type ErrorCode, InferqlError } from '@inferql/queue/errors';
import { isRedisUnavailable } from '@inferql/queue/redis-errors';
import type { Logger } from 'pino';
import type { EngineRun } from '../engines/process/engine-process.ts';
import type { IsolatedEngine } from '../engines/process/isolated-engine.ts';
import { type Batch, Batcher } from './batcher.ts';
import type { FairScheduler } from './fair-scheduler.ts';
import { startLeaseTimers } from './lease-timers.ts';
import { type AnswerSpec, readResult } from './postprocess.ts';
import { createRunTimeEstimate } from './run-time-estimate.ts';
import { createStepReporter } from './step-reporter.ts';

/** Pause between two checks of whether a retired version's streams are empty. */
const RETIRE_CHECK_MS = 200;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
/** A step is abandoned if Redis refuses it this many times while available. */
const MAX_REFUSALS = 5;
/** At most this many batches are settled in the background while the next one runs. */
const MAX_UNSETTLED = 2;

export interface ModelLoopOptions {
  consumer: Consumer;
  engine: IsolatedEngine;
  model: ServedModel;
  labels: readonly string[];
  headLabels?: AnswerSpec['headLabels'];
  scheduler: FairScheduler;
  /** This worker's name. */
  worker: string;
  log: Logger;
  /** Called after each batch. */
  onBatch?: (batch: { size: number; inferenceMs: number }) => void;
}

export interface ModelLoop {
  /** Serves what is queued for this version until nothing is left, then drains: another version has replaced it. */
  retire(): Promise<void>;
  /** Withdraws the model. Like `retire` if nobody else serves it, else like `drain`. */
  withdraw(): Promise<void>;
  /** Stops claiming, finishes held jobs, and leaves. */
  drain(): Promise<void>;
}

/**
 * Registers the model and serves it: claims jobs, runs them in batches and settles them.
 * @returns once the model is registered
 * @example
 * const loop = await startModelLoop({ consumer, engine, model, labels, scheduler, worker, log });
 * process.once('SIGTERM', () => loop.drain());
 */
export async function startModelLoop(options: ModelLoopOptions): Promise<ModelLoop> {
  const { consumer, engine, model, labels, scheduler, worker, log } = options;
  const answers: AnswerSpec = {
    labels,
    threshold: model.threshold,
    outputs: model.outputs,
    ...(options.headLabels && { headLabels: options.headLabels }),
  };
  const runTime = createRunTimeEstimate();
  const startedAtMs = Date.now();
  const unsettled = new Set<Promise<void>>();
  const reportOnce = createStepReporter(log);

  /** Repeats a step until Redis accepts it. @throws if Redis refuses it for another reason than being unavailable. */
  async function retryUntilAccepted<T>(name: string, step: () => Promise<T>): Promise<T> {
    for (let retryMs = FIRST_RETRY_MS, refusals = 0; ; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      try {
        const answer = await step();
        reportOnce.clear(name);
        return answer;
      } catch (error) {
        reportOnce(name, error);
        if (!isRedisUnavailable(error) && ++refusals === MAX_REFUSALS) throw error;
        await sleep(retryMs);
      }
    }
  }

  const register = () => {
    const imageMs = runTime.imageMs();
    const record = { worker, version: model.version, engine: model.engine, startedAtMs };
    return consumer.register(imageMs === undefined ? record : { ...record, imageMs }, { leaving });
  };

  let leaving = false;
  await retryUntilAccepted('register', register);
  let draining = false;
  let withdrawn = false;
  const batcher = new Batcher({
    consumer,
    ...model.batching,
    expectedRunMs: runTime.expectedMs,
    onClaimError: (error) => reportOnce('claim', error),
  });

  async function settle(outcomes: Outcome[]): Promise<void> {
    if (outcomes.length === 0) return;
    try {
      const settlements = await retryUntilAccepted('settle', () => consumer.settle(outcomes));
      outcomes.forEach(({ started }, i) => {
        if (settlements[i] === 'retry') retryLater(started);
      });
    } catch (error) {
      // They are retried like those of a lost worker, and a result that can never be stored ends as WORKER_LOST.
      log.error({ err: error }, 'could not settle results');
      consumer.release(outcomes.map(({ started }) => started.job));
    }
  }

  function settleInBackground(outcomes: Outcome[]): void {
    const settling = settle(outcomes).finally(() => unsettled.delete(settling));
    unsettled.add(settling);
  }

  function retryLater({ job, attempt }: StartedJob): void {
    setTimeout(() => batcher.pushIsolated({ jobs: [job] }), FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 4));
  }

  async function startAttempts(batch: Batch): Promise<StartedJob[]> {
    if (batch.started) return [batch.started];
    const started = await retryUntilAccepted('start', () => consumer.start(batch.jobs));
    const unreadable = started.filter(({ job }) => !job.readable);
    settleInBackground(unreadable.map((one) => ({ started: one, errorCode: 'UNREADABLE_JOB' })));
    return started.filter(({ job }) => job.readable);
  }

  async function runStarted(started: StartedJob[]): Promise<void> {
    const wantsHeatmap = ({ job }: StartedJob) => job.options.heatmap && engine.hasHeatmaps;
    let run: EngineRun;
    batcher.engineStarts(performance.now() + runTime.expectedMs(started.length));
    try {
      run = await engine.run(
        started.map(({ job }) => job.image),
        started.some(wantsHeatmap),
      );
    } catch (error) {
      failAttempts(started, error);
      return;
    } finally {
      batcher.engineIsIdle();
    }
    runTime.note(started.length, run.inferenceMs);
    options.onBatch?.({ size: started.length, inferenceMs: run.inferenceMs });
    settleInBackground(
      started.map((one, index): Outcome => {
        try {
          const result = readResult(run, index, answers, wantsHeatmap(one), one.job.options.labels);
          return { started: one, result, batchSize: started.length, inferenceMs: run.inferenceMs };
        } catch (error) {
          log.warn({ err: error, code: codeOf(error) }, 'an image of a batch failed');
          return { started: one, errorCode: codeOf(error) };
        }
      }),
    );
  }

  /** A single job fails. Any of several jobs may be the cause, so each is retried alone, within the same attempt. */
  function failAttempts(started: StartedJob[], error: unknown): void {
    const errorCode = codeOf(error);
    log.warn({ err: error, code: errorCode, batchSize: started.length }, 'batch failed');
    if (started.length === 1) settleInBackground([{ started: started[0]!, errorCode }]);
    else for (const one of started) batcher.pushIsolated({ jobs: [one.job], started: one });
  }

  async function runLoop(): Promise<void> {
    let permit: Promise<() => void> | undefined;
    for (;;) {
      const batch = await batcher.next();
      if (!batch) break;
      await engine.ready();
      const endRun = await (permit ?? scheduler.take(model.name));
      permit = undefined;
      try {
        const started = await startAttempts(batch);
        if (started.length > 0) await runStarted(started);
      } catch (error) {
        log.error({ err: error }, 'could not run a batch');
        consumer.release(batch.jobs);
      } finally {
        batcher.engineIsIdle();
        if (batcher.isNextReady()) permit = scheduler.take(model.name);
        endRun();
      }
      while (unsettled.size >= MAX_UNSETTLED) await Promise.race(unsettled);
    }
    await Promise.all(unsettled);
  }

  const timers = startLeaseTimers({
    consumer,
    batcher,
    engine,
    model,
    register: async () => {
      if (!withdrawn) await register();
    },
    isDraining: () => draining,
    reportOnce,
  });
  const running = runLoop();
  let drained: Promise<void> | undefined;

  function drain(): Promise<void> {
    drained ??= (async () => {
      log.info({ held: consumer.held.size }, 'draining');
      draining = true;
      leaving = true;
      await batcher.close();
      await running;
      timers.stop();
      await consumer.deregister();
    })();
    return drained;
  }

  /** Other workers empty the streams, too, and no event reports it. */
  async function retire(): Promise<void> {
    leaving = true;
    while (!draining && !(await consumer.isDrained().catch(() => false))) await sleep(RETIRE_CHECK_MS);
    await drain();
  }

  return {
    drain,
    retire,
    async withdraw() {
      withdrawn = true;
      const isLast = await retryUntilAccepted('withdraw', () => consumer.withdraw());
      await (isLast ? retire() : drain());
    },
  };
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof InferqlError ? error.code : 'MODEL_FAILED';
}
