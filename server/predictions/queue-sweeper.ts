/** Periodic work of each server for the queue, so that nothing depends on a particular worker or caller. */

import { REFUND_BATCH_SIZE, type Refunds } from '@inferql/queue/access/refunds';
import { InferqlError } from '@inferql/queue/error-codes';
import { EXPIRE_BATCH_SIZE } from '@inferql/queue/lua/lua-steps';
import type { Registry } from '@inferql/queue/models/registry';
import type { Producer } from '@inferql/queue/predictions/producer';
import type { ReportUnreadable } from '@inferql/queue/redis/unreadable-records';
import type { Logger } from 'pino';

/** Maximum delay with which a prediction that nobody watches expires. */
const SWEEP_EVERY_MS = 1_000;
const FORGET_EVERY_MS = 600_000;

export interface QueueSweeperOptions {
  producer: Pick<Producer, 'expireDue'>;
  registry: Pick<Registry, 'modelNames' | 'forgetIdle'>;
  refunds: Pick<Refunds, 'settle'>;
  reportUnreadable: ReportUnreadable;
  log: Logger;
}

export class QueueSweeper {
  readonly #options: QueueSweeperOptions;
  readonly #timers: NodeJS.Timeout[];

  /** Begins to sweep. */
  constructor(options: QueueSweeperOptions) {
    this.#options = options;
    this.#timers = [
      setInterval(() => void this.#sweepDeadlines(), SWEEP_EVERY_MS),
      setInterval(() => void this.#forgetIdleModels(), FORGET_EVERY_MS),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Expires predictions that nobody watches, even if no worker is running. */
  async #sweepDeadlines(): Promise<void> {
    const { registry, log } = this.#options;
    try {
      for (const name of await registry.modelNames()) await this.#sweepModel(name);
    } catch (error) {
      log.debug({ err: error }, 'deadline sweep failed; retrying');
    }
  }

  /** A wrong value under one model's keys does not affect the others. */
  async #sweepModel(name: string): Promise<void> {
    const { producer, refunds, reportUnreadable } = this.#options;
    try {
      while ((await producer.expireDue(name)) === EXPIRE_BATCH_SIZE);
      while ((await refunds.settle(name)) === REFUND_BATCH_SIZE);
    } catch (error) {
      if (error instanceof InferqlError) throw error;
      reportUnreadable(`deadlines of model ${name}`, error);
    }
  }

  /** Removes what is left of models that were removed for good. */
  async #forgetIdleModels(): Promise<void> {
    const { registry, log } = this.#options;
    try {
      for (const model of await registry.forgetIdle()) log.info({ model }, 'idle model forgotten');
    } catch (error) {
      log.debug({ err: error }, 'could not forget idle models; retrying');
    }
  }
}
