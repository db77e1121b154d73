/**
 * The timers that run while batches run: they extend leases, send the heartbeat, reclaim stalled jobs of other workers and
 * sweep deadlines. They run in the worker's process, so a busy engine process cannot delay them.
 */

import type { ServedModel } from '@inferql/queue/contract';
import { type Consumer, WORKER_LIFETIME_MS } from '@inferql/queue/jobs/consumer';
import type { SupervisedEngine } from '../engines/process/supervised-engine.ts';
import type { Batcher } from './prefetching-batcher.ts';
import type { StepReporter } from './step-reporter.ts';

const RECLAIM_EVERY_MS = 2_000;
const SWEEP_EVERY_MS = 1_000;

export interface LeaseTimerOptions {
  consumer: Consumer;
  batcher: Pick<Batcher, 'pushRedelivered'>;
  engine: Pick<SupervisedEngine, 'downSinceMs' | 'close'>;
  model: ServedModel;
  /** Sends the heartbeat. */
  register(): Promise<void>;
  /** A draining worker reclaims nothing. */
  isDraining(): boolean;
  reportOnce: StepReporter;
}

export function startLeaseTimers(options: LeaseTimerOptions): { stop(): void } {
  const { consumer, batcher, engine, model, reportOnce } = options;
  const { visibilityMs } = model.queue;

  /** If the engine does not come back, this worker counts as gone, and others may reclaim what it holds. */
  function isEngineExpected(): boolean {
    const downSinceMs = engine.downSinceMs();
    return downSinceMs === undefined || performance.now() - downSinceMs < visibilityMs;
  }

  const timers = [
    every(WORKER_LIFETIME_MS / 3, 'register', async () => {
      if (isEngineExpected()) await options.register();
    }),
    every(visibilityMs / 3, 'extend leases', async () => {
      if (isEngineExpected()) await consumer.extendLeases(consumer.held.entries());
      // Nothing that a draining worker holds will run here anymore.
      else if (options.isDraining()) await engine.close();
    }),
    every(RECLAIM_EVERY_MS, 'reclaim', async () => {
      if (options.isDraining()) return;
      const free = model.batching.maxBatchSize - consumer.held.size;
      if (engine.downSinceMs() === undefined) batcher.pushRedelivered(await consumer.reclaim(Math.max(1, free)));
      await consumer.migrateRetired();
    }),
    every(SWEEP_EVERY_MS, 'expire', () => consumer.expireDue()),
  ];

  /** A step that is still running is not started again. */
  function every(periodMs: number, name: string, step: () => Promise<unknown>): NodeJS.Timeout {
    let busy = false;
    return setInterval(async () => {
      if (busy) return;
      busy = true;
      try {
        await step();
        reportOnce.clear(name);
      } catch (error) {
        reportOnce(name, error);
      }
      busy = false;
    }, periodMs);
  }

  return {
    stop: () => {
      for (const timer of timers) clearInterval(timer);
    },
  };
}
