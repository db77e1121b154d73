import type { QueueState, ServedModel } from '@inferql/queue/contract';
import { ANONYMOUS_TENANT, imageByteLength } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import type { Catalog } from './model-cache.ts';

/** After a refusal, free places are checked before decoding for this long. */
const ALERT_MS = 5_000;
/** An older snapshot of the queue is renewed; meanwhile it still decides requests. */
const LOOK_AGE_MS = 20;
/** An even older snapshot decides nothing: the request waits for a new one. */
const LOOK_MAX_AGE_MS = 500;
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** Who asks for a place, and the share of a queue that it may fill alone: lua/admit.lua has the rule. */
export interface Party {
  tenant: string;
  queueShare: number;
}

const WHOLE_QUEUE: Party = { tenant: ANONYMOUS_TENANT, queueShare: 1 };
/** Alerts of tenants that do not come back are dropped once there are this many. */
const MAX_ALERTS = 1_000;

interface Alert {
  untilMs: number;
  /** Requests that were let through and are not yet admitted or refused. */
  pending: number;
  look: { atMs: number; free: number; retryAfterMs: number } | undefined;
  looking: Promise<void> | undefined;
}

export type Pressure = ReturnType<typeof createPressure>;

/**
 * Refuses early. If the queue, or a tenant's share of it, was full a moment ago, only as many requests reach the decoder as there are
 * free places. Under ten times the load the decoder would otherwise work for requests that are then refused.
 */
export function createPressure(catalog: Pick<Catalog, 'readQueue'>) {
  const alerts = new Map<string, Alert>();

  async function look(model: ServedModel, party: Party, alert: Alert): Promise<void> {
    const queue = await catalog.readQueue(model.name, LOOK_AGE_MS);
    if (!queue) return;
    const { maxQueueSize, maxQueuedBytes } = model.queue;
    const bytesFree = Math.floor((maxQueuedBytes - queue.queuedBytes) / imageByteLength(model.input));
    const held = queue.tenants[party.tenant] ?? 0;
    const room = (free: number) => countRoom(free, held, party.queueShare);
    const free = Math.min(room(maxQueueSize - queue.waiting), room(bytesFree)) - alert.pending;
    alert.look = { atMs: performance.now(), free, retryAfterMs: estimateRetryMs(queue) };
  }

  function lookAgain(model: ServedModel, party: Party, alert: Alert): Promise<void> {
    alert.looking ??= look(model, party, alert).finally(() => {
      alert.looking = undefined;
    });
    return alert.looking;
  }

  function dropOldAlerts(): void {
    if (alerts.size < MAX_ALERTS) return;
    for (const [name, { untilMs, pending }] of alerts)
      if (pending === 0 && performance.now() > untilMs) alerts.delete(name);
  }

  return {
    /**
     * @returns a function to call when the request was admitted or refused
     * @throws InferqlError QUEUE_FULL if the queue is known to be full
     */
    async enter(model: ServedModel, party = WHOLE_QUEUE): Promise<() => void> {
      const name = nameAlert(model, party);
      const alert = alerts.get(name);
      if (!alert) return () => undefined;
      if (performance.now() > alert.untilMs && alert.pending === 0) {
        alerts.delete(name);
        return () => undefined;
      }
      const ageMs = alert.look ? performance.now() - alert.look.atMs : Number.POSITIVE_INFINITY;
      if (ageMs > LOOK_MAX_AGE_MS) await lookAgain(model, party, alert);
      else if (ageMs > LOOK_AGE_MS) lookAgain(model, party, alert).catch(() => undefined);
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

    /** The error for a request that the queue refused; from now on free places are checked first. */
    async refuse(model: ServedModel, party = WHOLE_QUEUE): Promise<InferqlError> {
      dropOldAlerts();
      const name = nameAlert(model, party);
      const alert = alerts.get(name) ?? { untilMs: 0, pending: 0, look: undefined, looking: undefined };
      alerts.set(name, alert);
      alert.untilMs = performance.now() + ALERT_MS;
      await lookAgain(model, party, alert).catch(() => undefined);
      return new InferqlError('QUEUE_FULL', { retryAfterMs: alert.look?.retryAfterMs ?? MIN_RETRY_MS });
    },
  };
}

function nameAlert(model: ServedModel, { tenant }: Party): string {
  return `${model.name} ${tenant}`;
}

/** How many more a tenant may add to a queue with this many free places, if it already holds `held` and no one else comes. */
function countRoom(free: number, held: number, queueShare: number): number {
  if (queueShare >= 1) return free;
  const room = Math.ceil(queueShare * free - (1 - queueShare) * held - 1e-9);
  return Math.min(free, held === 0 ? Math.max(1, room) : room);
}

/** Milliseconds until half of what waits is done, at the measured rate. */
function estimateRetryMs({ waiting, ratePerSecond }: QueueState): number {
  if (!ratePerSecond) return MIN_RETRY_MS * 5;
  return Math.round(Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, (waiting / ratePerSecond) * 500)));
}
