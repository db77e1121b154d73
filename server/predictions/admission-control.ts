import type { QueueState, ServedModel } from '@inferql/queue/contract';
import { imageByteLength } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import type { Catalog } from './model-cache.ts';

/** After a refusal, places are counted before an image is decoded, for this long. */
const ALERT_MS = 5_000;
/** A look at the queue is renewed when it is older than this; meanwhile requests are decided by the one there is. */
const LOOK_AGE_MS = 20;
/** An older look than this is not decided by: the request waits for a new one. */
const LOOK_MAX_AGE_MS = 500;
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

interface Alert {
  untilMs: number;
  /** Requests that were let through and are not admitted or refused yet. */
  pending: number;
  look: { atMs: number; free: number; retryAfterMs: number } | undefined;
  looking: Promise<void> | undefined;
}

export type Pressure = ReturnType<typeof createPressure>;

/**
 * Refuses early. Where the queue was full a moment ago, only as many requests are let through to the decoder as there are places:
 * under ten times the load the decoder would otherwise work for those who are refused.
 */
export function createPressure(catalog: Pick<Catalog, 'readQueue'>) {
  const alerts = new Map<string, Alert>();

  async function look(model: ServedModel, alert: Alert): Promise<void> {
    const queue = await catalog.readQueue(model.name, LOOK_AGE_MS);
    if (!queue) return;
    const { maxQueueSize, maxQueuedBytes } = model.queue;
    const bytesFree = Math.floor((maxQueuedBytes - queue.queuedBytes) / imageByteLength(model.input));
    const free = Math.min(maxQueueSize - queue.waiting, bytesFree) - alert.pending;
    alert.look = { atMs: performance.now(), free, retryAfterMs: estimateRetryMs(queue) };
  }

  function lookAgain(model: ServedModel, alert: Alert): Promise<void> {
    alert.looking ??= look(model, alert).finally(() => {
      alert.looking = undefined;
    });
    return alert.looking;
  }

  return {
    /**
     * @returns to be called when the request was admitted or refused
     * @throws InferqlError QUEUE_FULL where the queue is known to have no place
     */
    async enter(model: ServedModel): Promise<() => void> {
      const alert = alerts.get(model.name);
      if (!alert) return () => undefined;
      if (performance.now() > alert.untilMs && alert.pending === 0) {
        alerts.delete(model.name);
        return () => undefined;
      }
      const ageMs = alert.look ? performance.now() - alert.look.atMs : Number.POSITIVE_INFINITY;
      if (ageMs > LOOK_MAX_AGE_MS) await lookAgain(model, alert);
      else if (ageMs > LOOK_AGE_MS) lookAgain(model, alert).catch(() => undefined);
      if (alert.look && alert.look.free <= 0) {
        alert.untilMs = performance.now() + ALERT_MS;
        throw new InferqlError('QUEUE_FULL', { retryAfterMs: alert.look.retryAfterMs });
      }
      if (alert.look) alert.look.free -= 1;
      alert.pending += 1;
      return () => {
        alert.pending -= 1;
      };
    },

    /** The error for a request that the queue refused; from now on places are counted. */
    async refuse(model: ServedModel): Promise<InferqlError> {
      const alert = alerts.get(model.name) ?? { untilMs: 0, pending: 0, look: undefined, looking: undefined };
      alerts.set(model.name, alert);
      alert.untilMs = performance.now() + ALERT_MS;
      await lookAgain(model, alert).catch(() => undefined);
      return new InferqlError('QUEUE_FULL', { retryAfterMs: alert.look?.retryAfterMs ?? MIN_RETRY_MS });
    },
  };
}

/** When half of what waits will be done, at the measured rate. */
function estimateRetryMs({ waiting, ratePerSecond }: QueueState): number {
  if (!ratePerSecond) return MIN_RETRY_MS * 5;
  return Math.round(Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, (waiting / ratePerSecond) * 500)));
}
