import type { QueueState } from '../queue/contract.ts';
import { InferqlError } from '../queue/errors.ts';
import type { Catalog } from './catalog.ts';
import type { Meter } from './meter.ts';
import { NewestStream, shuttingDown } from './newest-stream.ts';

/** A queue with what this server measured beside it. */
export interface QueueView extends QueueState {
  /** Successes per second over the last seconds. */
  measuredPerSecond: number | undefined;
  /** Median milliseconds from acceptance to success of the last predictions. */
  latencyMs: number | undefined;
}

/** Watchers are told at most this often. */
const TELL_INTERVAL_MS = 1_000;

interface Watched {
  timer: NodeJS.Timeout;
  latest: string;
  watchers: Set<NewestStream<QueueView>>;
}

/** Queues as they are shown: one reading a second for all who watch the same one. */
export function createQueueViews({ catalog, meter }: { catalog: Catalog; meter: Meter }) {
  const watched = new Map<string, Watched>();
  let draining = false;

  /** @returns null where there is no such model, or none at all */
  async function view(name: string | undefined): Promise<QueueView | null> {
    const model = await catalog.findModel(name);
    const queue = model && (await catalog.readQueue(model.name));
    return queue ? { ...queue, ...meter.read(model.name) } : null;
  }

  async function tell(model: string, entry: Watched): Promise<void> {
    // While Redis does not answer nothing has changed that could be shown.
    const queue = await view(model).catch(() => null);
    if (!queue) return;
    const text = JSON.stringify(queue);
    if (text === entry.latest) return;
    entry.latest = text;
    for (const watcher of [...entry.watchers]) watcher.push(queue);
  }

  return {
    view,

    /**
     * At once, then when it has changed, about once a second; a slow reader is given the newest.
     * @throws InferqlError MODEL_NOT_FOUND, UNAVAILABLE
     */
    async watch(name: string | undefined): Promise<AsyncIterableIterator<QueueView>> {
      const first = await view(name);
      if (!first) throw new InferqlError('MODEL_NOT_FOUND');
      if (draining) throw shuttingDown();
      let entry = watched.get(first.model);
      if (!entry) {
        const created: Watched = {
          timer: setInterval(() => void tell(first.model, created), TELL_INTERVAL_MS),
          latest: JSON.stringify(first),
          watchers: new Set(),
        };
        watched.set(first.model, created);
        entry = created;
      }
      const { watchers, timer } = entry;
      const stream: NewestStream<QueueView> = new NewestStream(() => {
        watchers.delete(stream);
        if (watchers.size > 0) return;
        clearInterval(timer);
        watched.delete(first.model);
      });
      watchers.add(stream);
      stream.push(first);
      return stream;
    },

    /** Ends all watching with a retryable error. */
    drain(): void {
      draining = true;
      for (const { watchers } of [...watched.values()])
        for (const watcher of [...watchers]) watcher.end(shuttingDown());
    },
  };
}
