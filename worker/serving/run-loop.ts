/**
 * The second of the worker's two loops: takes a batch, runs it and settles it. Meanwhile, lease-and-reclaim-timers.ts extends its leases.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServedModel } from '@inferql/queue/contract';
import { type ErrorCode, InferqlError } from '@inferql/queue/error-codes';
import type { Consumer, Outcome, StartedJob } from '@inferql/queue/jobs/consumer';
import type { Logger } from 'pino';
import type { EngineRun } from '../engines/process/engine-process.ts';
import type { SupervisedEngine } from '../engines/process/supervised-engine.ts';
import type { CoreScheduler } from './core-scheduler.ts';
import { startLeaseTimers } from './lease-and-reclaim-timers.ts';
import { type AnswerSpec, readResult } from './postprocess.ts';
import { type Batch, Batcher } from './prefetching-batcher.ts';
import { retryUntilAccepted } from './retried-steps.ts';
import { createRunTimeEstimate } from './run-time-estimate.ts';
import { createStepReporter, type StepReporter } from './step-reporter.ts';

/** Pause between two checks of whether a retired version's streams are empty. */
const RETIRE_CHECK_MS = 200;
/** Pause before a failed attempt is repeated; it doubles with each. */
const FIRST_RETRY_MS = 100;
/** At most this many batches are settled in the background while the next one runs. */
const MAX_UNSETTLED = 2;

export interface ModelLoopOptions {
  consumer: Consumer;
  engine: SupervisedEngine;
  model: ServedModel;
  labels: readonly string[];
  headLabels?: AnswerSpec['headLabels'];
  scheduler: CoreScheduler;
  /** This worker's name. */
  worker: string;
  log: Logger;
  /** Called after each batch. */
  onBatch?: (batch: { size: number; inferenceMs: number }) => void;
  /** Ends the attempts to register. */
  signal?: AbortSignal;
}

/**
 * Registers the model and serves it: claims jobs, runs them in batches and settles them.
 * @returns once the model is registered
 * @throws if Redis refuses the registration, or `signal` was aborted before it was accepted
 * @example
 * const loop = await startModelLoop({ consumer, engine, model, labels, scheduler, worker, log });
 * process.once('SIGTERM', () => loop.drain());
 */
export async function startModelLoop(options: ModelLoopOptions): Promise<ModelLoop> {
  const reportOnce = createStepReporter(options.log);
  const registration = new Registration(options);
  await retryUntilAccepted(reportOnce, 'register', () => registration.send(), options.signal);
  return new ModelLoop(options, registration, reportOnce);
}

/** The worker's record in the queue: it serves this model. The heartbeat sends it again. */
class Registration {
  readonly runTime = createRunTimeEstimate();
  /** True if the worker is draining, so that callers no longer count on it. */
  leaving = false;
  readonly #options: ModelLoopOptions;
  readonly #startedAtMs = Date.now();

  constructor(options: ModelLoopOptions) {
    this.#options = options;
  }

  send(): Promise<void> {
    const { consumer, worker, model } = this.#options;
    const imageMs = this.runTime.imageMs();
    const record = { worker, version: model.version, engine: model.engine, startedAtMs: this.#startedAtMs };
    return consumer.register(imageMs === undefined ? record : { ...record, imageMs }, { leaving: this.leaving });
  }
}

/** Serves one version of a model until it is drained: takes a batch, starts its attempts, runs it, settles its outcomes. */
export class ModelLoop {
  readonly #options: ModelLoopOptions;
  readonly #consumer: Consumer;
  readonly #registration: Registration;
  readonly #batcher: Batcher;
  readonly #answers: AnswerSpec;
  readonly #unsettled = new Set<Promise<void>>();
  readonly #reportOnce: StepReporter;
  readonly #timers: ReturnType<typeof startLeaseTimers>;
  readonly #running: Promise<void>;
  readonly #abandoned = new AbortController();
  #draining = false;
  #withdrawn = false;
  #drained: Promise<void> | undefined;

  /** Begins to claim. */
  constructor(options: ModelLoopOptions, registration: Registration, reportOnce: StepReporter) {
    const { consumer, engine, model, labels, headLabels } = options;
    const { threshold, outputs } = model;
    this.#options = options;
    this.#consumer = consumer;
    this.#registration = registration;
    this.#reportOnce = reportOnce;
    this.#answers = { labels, threshold, outputs, ...(headLabels && { headLabels }) };
    this.#batcher = new Batcher({
      consumer,
      ...model.batching,
      expectedRunMs: registration.runTime.expectedMs,
      onClaimError: (error) => reportOnce('claim', error),
    });
    this.#timers = startLeaseTimers({
      consumer,
      batcher: this.#batcher,
      engine,
      model,
      register: async () => {
        if (!this.#withdrawn) await registration.send();
      },
      isDraining: () => this.#draining,
      reportOnce,
    });
    this.#running = this.#runBatches();
  }

  /** Stops claiming, finishes held jobs, and leaves. */
  drain(): Promise<void> {
    this.#drained ??= this.#finish();
    return this.#drained;
  }

  /** Serves what is queued for this version until nothing is left, then drains: another version has replaced it. */
  async retire(): Promise<void> {
    this.#registration.leaving = true;
    // Other workers empty the streams, too, and no event reports it.
    while (!this.#draining && !(await this.#consumer.isDrained().catch(() => false))) await sleep(RETIRE_CHECK_MS);
    await this.drain();
  }

  /** Withdraws the model. Like `retire` if nobody else serves it, else like `drain`. */
  async withdraw(): Promise<void> {
    this.#withdrawn = true;
    const isLast = await this.#retryUntilAccepted('withdraw', () => this.#consumer.withdraw());
    await (isLast ? this.retire() : this.drain());
  }

  /**
   * Gives up what is held: no step is sent again. Call it after `drain`, whose promise is then rejected, and once the connection to Redis is
   * closed; then close the engine.
   */
  abandon(): void {
    this.#abandoned.abort();
    this.#timers.stop();
  }

  async #runBatches(): Promise<void> {
    const { model, scheduler } = this.#options;
    let permit: Promise<() => void> | undefined;
    for (;;) {
      const batch = await this.#batcher.next();
      if (!batch) break;
      const endRun = await this.#takeCores(permit);
      permit = undefined;
      if (!endRun) {
        this.#consumer.release(batch.jobs);
        continue;
      }
      try {
        this.#abandoned.signal.throwIfAborted();
        const started = await this.#startAttempts(batch);
        if (started.length > 0) await this.#runStarted(started);
      } catch (error) {
        this.#options.log.error({ err: error }, 'could not run a batch');
        this.#consumer.release(batch.jobs);
      } finally {
        this.#batcher.engineIsIdle();
        if (this.#batcher.isNextReady()) permit = scheduler.take(model.name);
        endRun();
      }
      while (this.#unsettled.size >= MAX_UNSETTLED) await Promise.race(this.#unsettled);
    }
    await Promise.all(this.#unsettled);
  }

  /**
   * Waits for the engine and for the cores, which are not kept from other models while the engine is started again.
   * @param permit cores that this model has asked for already
   * @returns what gives them back; undefined if the engine was closed
   */
  async #takeCores(permit: Promise<() => void> | undefined): Promise<(() => void) | undefined> {
    const { engine, model, scheduler } = this.#options;
    for (let asked = permit; ; asked = undefined) {
      if (engine.downSinceMs() === undefined) {
        const endRun = await (asked ?? scheduler.take(model.name));
        if (engine.downSinceMs() === undefined) return endRun;
        endRun();
      } else {
        void asked?.then((endRun) => endRun());
      }
      try {
        await engine.ready();
      } catch {
        return undefined;
      }
    }
  }

  async #startAttempts(batch: Batch): Promise<StartedJob[]> {
    if (batch.started) return [batch.started];
    const started = await this.#retryUntilAccepted('start', () => this.#consumer.start(batch.jobs));
    const unreadable = started.filter(({ job }) => !job.readable);
    this.#settleInBackground(unreadable.map((one) => ({ started: one, errorCode: 'UNREADABLE_JOB' })));
    return started.filter(({ job }) => job.readable);
  }

  async #runStarted(started: StartedJob[]): Promise<void> {
    const { engine, onBatch } = this.#options;
    let run: EngineRun;
    this.#batcher.engineStarts(performance.now() + this.#registration.runTime.expectedMs(started.length));
    try {
      run = await engine.run(
        started.map(({ job }) => job.image),
        started.some((one) => this.#wantsHeatmap(one)),
      );
    } catch (error) {
      this.#failAttempts(started, error);
      return;
    } finally {
      this.#batcher.engineIsIdle();
    }
    this.#registration.runTime.note(started.length, run.inferenceMs);
    onBatch?.({ size: started.length, inferenceMs: run.inferenceMs });
    this.#settleInBackground(started.map((one, index) => this.#readOutcome(run, one, index, started.length)));
  }

  #wantsHeatmap({ job }: StartedJob): boolean {
    return job.options.heatmap && this.#options.engine.hasHeatmaps;
  }

  /** The outcome of the image at `index` of a batch. */
  #readOutcome(run: EngineRun, started: StartedJob, index: number, batchSize: number): Outcome {
    try {
      const result = readResult(run, index, this.#answers, this.#wantsHeatmap(started), started.job.options.labels);
      return { started, result, batchSize, inferenceMs: run.inferenceMs };
    } catch (error) {
      const { jobId, tenant } = started.job;
      this.#options.log.warn({ err: error, code: codeOf(error), jobId, tenant }, 'an image of a batch failed');
      return { started, errorCode: codeOf(error) };
    }
  }

  /** If the batch is a single job, it fails. Otherwise any of the jobs may be the cause, so each is retried alone, within the same attempt. */
  #failAttempts(started: StartedJob[], error: unknown): void {
    const errorCode = codeOf(error);
    this.#options.log.warn({ err: error, code: errorCode, batchSize: started.length }, 'batch failed');
    if (started.length === 1) this.#settleInBackground([{ started: started[0]!, errorCode }]);
    else for (const one of started) this.#batcher.pushIsolated({ jobs: [one.job], started: one });
  }

  #settleInBackground(outcomes: Outcome[]): void {
    const settling = this.#settle(outcomes).finally(() => this.#unsettled.delete(settling));
    this.#unsettled.add(settling);
  }

  async #settle(outcomes: Outcome[]): Promise<void> {
    if (outcomes.length === 0) return;
    try {
      const settlements = await this.#retryUntilAccepted('settle', () => this.#consumer.settle(outcomes));
      outcomes.forEach(({ started }, i) => {
        if (settlements[i] === 'retry') this.#retryLater(started);
      });
    } catch (error) {
      // They are retried like those of a lost worker, and a result that can never be stored ends as WORKER_LOST.
      this.#options.log.error({ err: error }, 'could not settle results');
      this.#consumer.release(outcomes.map(({ started }) => started.job));
    }
  }

  #retryLater({ job, attempt }: StartedJob): void {
    setTimeout(() => this.#batcher.pushIsolated({ jobs: [job] }), FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 4));
  }

  async #finish(): Promise<void> {
    this.#options.log.info({ held: this.#consumer.held.size }, 'draining');
    this.#draining = true;
    this.#registration.leaving = true;
    await this.#batcher.close();
    await this.#running;
    this.#timers.stop();
    await this.#consumer.deregister();
  }

  #retryUntilAccepted<T>(name: string, step: () => Promise<T>): Promise<T> {
    return retryUntilAccepted(this.#reportOnce, name, step, this.#abandoned.signal);
  }
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof InferqlError ? error.code : 'MODEL_FAILED';
}
