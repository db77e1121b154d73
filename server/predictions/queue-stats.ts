import type { QueueState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import { LatestValueStream, shuttingDown } from './latest-value-stream.ts';
import type { ModelCache } from './model-cache.ts';
import type { ThroughputMeter } from './throughput-meter.ts';

/** A queue with this server's measurements. */
export interface QueueStats extends QueueState {
  /** Successes per second over the last seconds. */
  measuredPerSecond: number | undefined;
  /** Median milliseconds from acceptance to success of the last predictions. */
  latencyMs: number | undefined;
}

/** Watchers get updates at most this often. */
const TELL_INTERVAL_MS = 1_000;
/** After this many failed reads in a row, the watchers' last state is considered outdated. */
const MAX_FAILED_READINGS = 3;

interface Watched {
  timer: NodeJS.Timeout;
  latest: string;
  failedReadings: number;
  watchers: Set<LatestValueStream<QueueStats>>;
}

/** Queues as callers see them: one read per second for all who watch the same queue. */
export function createQueueStats({ modelCache, throughput }: { modelCache: ModelCache; throughput: ThroughputMeter }) {
  const watched = new Map<string, Watched>();
  let draining = false;

  /** @returns null if there is no such model, or none at all */
  async function view(name: string | undefined, mayUse?: (model: string) => boolean): Promise<QueueStats | null> {
    const model = await modelCache.findModel(name, mayUse);
    const queue = model && (await modelCache.readQueue(model.name));
    return queue ? { ...queue, ...throughput.read(model.name) } : null;
  }

  async function tell(model: string, entry: Watched): Promise<void> {
    let queue: QueueStats | null;
    try {
      queue = await view(model);
    } catch {
      entry.failedReadings += 1;
      if (entry.failedReadings >= MAX_FAILED_READINGS) end(entry, new InferqlError('UNAVAILABLE'));
      return;
    }
    entry.failedReadings = 0;
    if (!queue) return;
    const text = JSON.stringify(queue);
    if (text === entry.latest) return;
    entry.latest = text;
    for (const watcher of [...entry.watchers]) watcher.push(queue);
  }

  function end({ watchers }: Watched, failure: InferqlError): void {
    for (const watcher of [...watchers]) watcher.end(failure);
  }

  return {
    view,

    /**
     * At once, then when it has changed, about once a second; a slow reader gets the newest.
     * @throws InferqlError MODEL_NOT_FOUND; UNAVAILABLE, also later, if the queue cannot be read
     */
    async watch(name: string | undefined, mayUse?: (model: string) => boolean): Promise<LatestValueStream<QueueStats>> {
      const first = await view(name, mayUse);
      if (!first) throw new InferqlError('MODEL_NOT_FOUND');
      if (draining) throw shuttingDown();
      let entry = watched.get(first.model);
      if (!entry) {
        const created: Watched = {
          timer: setInterval(() => void tell(first.model, created), TELL_INTERVAL_MS),
          latest: JSON.stringify(first),
          failedReadings: 0,
          watchers: new Set(),
        };
        watched.set(first.model, created);
        entry = created;
      }
      const { watchers, timer } = entry;
      const stream: LatestValueStream<QueueStats> = new LatestValueStream(() => {
        watchers.delete(stream);
        if (watchers.size > 0) return;
        clearInterval(timer);
        watched.delete(first.model);
      });
      watchers.add(stream);
      stream.push(first);
      return stream;
    },

    /** Ends all watchers with a retryable error. */
    drain(): void {
      draining = true;
      for (const entry of [...watched.values()]) end(entry, shuttingDown());
    },
  };
}
