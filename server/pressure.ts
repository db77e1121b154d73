import type { QueueState, ServedModel } from '../queue/contract.ts';
import { InferqlError } from '../queue/errors.ts';
import type { Catalog } from './catalog.ts';

/** After a refusal the queue is looked at before an image is decoded, for this long. */
const ALERT_MS = 5_000;
/** The look that requests share may be this old. */
const LOOK_MAX_AGE_MS = 20;
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

export type Pressure = ReturnType<typeof createPressure>;

/** Refuses early: a queue that was full a moment ago is looked at before any work is put into an image. */
export function createPressure(catalog: Catalog) {
  const alertUntilMs = new Map<string, number>();

  return {
    /** @throws InferqlError QUEUE_FULL where the queue is known to be full */
    async check(model: ServedModel): Promise<void> {
      if (Date.now() > (alertUntilMs.get(model.name) ?? 0)) return;
      const queue = await catalog.readQueue(model.name, LOOK_MAX_AGE_MS);
      const bytes = model.input.width * model.input.height * model.input.channels;
      if (
        !queue ||
        (queue.waiting < model.queue.maxQueueSize && queue.queuedBytes + bytes <= model.queue.maxQueuedBytes)
      )
        return;
      alertUntilMs.set(model.name, Date.now() + ALERT_MS);
      throw new InferqlError('QUEUE_FULL', { retryAfterMs: estimateRetryMs(queue) });
    },

    /** The error for a request that the queue refused; remembers that it was full. */
    async refuse(model: ServedModel, waiting: number): Promise<InferqlError> {
      alertUntilMs.set(model.name, Date.now() + ALERT_MS);
      const queue = await catalog.readQueue(model.name).catch(() => null);
      return new InferqlError('QUEUE_FULL', {
        retryAfterMs: queue ? estimateRetryMs(queue) : Math.max(MIN_RETRY_MS, waiting),
      });
    },
  };
}

/** When half of what waits will be done, at the measured rate. */
function estimateRetryMs({ waiting, ratePerSecond }: QueueState): number {
  if (!ratePerSecond) return MIN_RETRY_MS * 5;
  return Math.round(Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, (waiting / ratePerSecond) * 500)));
}
