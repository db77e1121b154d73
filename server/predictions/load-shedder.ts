/** Refuses images before they are decoded if the queue is known to be full. */
import type { ServedModel } from '@inferql/queue/contract';
import { ANONYMOUS_TENANT, imageByteLength } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { LRUCache } from 'lru-cache';
import type { ModelCache } from './model-cache.ts';
import { estimateRetryMs, MIN_RETRY_MS } from './retry-after.ts';

/** After a refusal, free places are checked before decoding for this long. */
const OVERLOAD_MS = 5_000;
/** An older snapshot of the queue is renewed; meanwhile it still decides requests. */
const SAMPLE_AGE_MS = 20;
/** An even older snapshot decides nothing: the request waits for a new one. */
const SAMPLE_MAX_AGE_MS = 500;

/** The tenant that requests a slot, and the share of a queue that it may fill alone. lua/admit.lua has the rule. */
export interface TenantShare {
  tenant: string;
  queueShare: number;
}

const WHOLE_QUEUE: TenantShare = { tenant: ANONYMOUS_TENANT, queueShare: 1 };
/** Maximum number of tracked queues. Beyond it, the least recently used is dropped: its next request is decoded before the queue refuses it. */
const MAX_OVERLOADS = 1_000;

interface OverloadState {
  untilMs: number;
  /** Requests that hold a slot and are not yet admitted or refused. */
  pending: number;
  sample: { atMs: number; free: number; retryAfterMs: number } | undefined;
  sampling: Promise<void> | undefined;
}

export type LoadShedder = ReturnType<typeof createLoadShedder>;

/**
 * Refuses requests before their images are decoded. If the queue, or a tenant's share of it, was full a moment ago, only as many requests
 * reach the decoder as there are free slots. Otherwise, under ten times the load, most decoded images would be refused in the end.
 */
export function createLoadShedder(modelCache: Pick<ModelCache, 'readQueue'>) {
  const overloads = new LRUCache<string, OverloadState>({ max: MAX_OVERLOADS });

  async function sample(model: ServedModel, share: TenantShare, overload: OverloadState): Promise<void> {
    const queue = await modelCache.readQueue(model.name, SAMPLE_AGE_MS);
    if (!queue) return;
    const { maxQueueSize, maxQueuedBytes } = model.queue;
    const bytesFree = Math.floor((maxQueuedBytes - queue.queuedBytes) / imageByteLength(model.input));
    const held = queue.tenants.get(share.tenant) ?? 0;
    const roomIn = (free: number) => countRoom(free, held, share.queueShare);
    const free = Math.min(roomIn(maxQueueSize - queue.waiting), roomIn(bytesFree)) - overload.pending;
    overload.sample = { atMs: performance.now(), free, retryAfterMs: estimateRetryMs(queue) };
  }

  function sampleAgain(model: ServedModel, share: TenantShare, overload: OverloadState): Promise<void> {
    overload.sampling ??= sample(model, share, overload).finally(() => {
      overload.sampling = undefined;
    });
    return overload.sampling;
  }

  return {
    /**
     * @returns a function to call when the request was admitted or refused
     * @throws InferqlError QUEUE_FULL if the queue is known to be full
     */
    async reserveSlot(model: ServedModel, share = WHOLE_QUEUE): Promise<() => void> {
      const name = nameOverload(model, share);
      const overload = overloads.get(name);
      if (!overload) return () => undefined;
      if (performance.now() > overload.untilMs && overload.pending === 0) {
        overloads.delete(name);
        return () => undefined;
      }
      const ageMs = overload.sample ? performance.now() - overload.sample.atMs : Number.POSITIVE_INFINITY;
      if (ageMs > SAMPLE_MAX_AGE_MS) await sampleAgain(model, share, overload);
      else if (ageMs > SAMPLE_AGE_MS) sampleAgain(model, share, overload).catch(() => undefined);
      if (overload.sample && overload.sample.free <= 0) {
        overload.untilMs = performance.now() + OVERLOAD_MS;
        throw new InferqlError('QUEUE_FULL', { retryAfterMs: overload.sample.retryAfterMs });
      }
      if (overload.sample) overload.sample.free -= 1;
      overload.pending += 1;
      return () => {
        overload.pending -= 1;
      };
    },

    /** The error for a request that the queue refused; from now on free places are checked first. */
    async onQueueFull(model: ServedModel, share = WHOLE_QUEUE): Promise<InferqlError> {
      const name = nameOverload(model, share);
      const overload = overloads.get(name) ?? { untilMs: 0, pending: 0, sample: undefined, sampling: undefined };
      overloads.set(name, overload);
      overload.untilMs = performance.now() + OVERLOAD_MS;
      await sampleAgain(model, share, overload).catch(() => undefined);
      return new InferqlError('QUEUE_FULL', { retryAfterMs: overload.sample?.retryAfterMs ?? MIN_RETRY_MS });
    },
  };
}

function nameOverload(model: ServedModel, { tenant }: TenantShare): string {
  return `${model.name} ${tenant}`;
}

/** How many more jobs a tenant may add to a queue with this many free slots, if it already holds `held` and no other tenant adds any. */
function countRoom(free: number, held: number, queueShare: number): number {
  if (queueShare >= 1) return free;
  const room = Math.ceil(queueShare * free - (1 - queueShare) * held - 1e-9);
  return Math.min(free, held === 0 ? Math.max(1, room) : room);
}
