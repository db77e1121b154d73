/** The queues of all models, read from Redis for each scrape. Every server reports the same figures. */
import type { QueueState } from '@inferql/queue/contract';
import { Gauge, type Registry } from 'prom-client';
import type { ModelCache } from '../predictions/model-cache.ts';
import { countDesiredWorkers } from './desired-workers.ts';

interface Figure {
  name: string;
  help: string;
  /** undefined: not known yet, so there is no sample. */
  read(queue: QueueState): number | undefined;
}

/**
 * Registers the gauges. A scrape while Redis does not answer fails as a whole, so that no old figure is taken for a current one.
 * @param targetWaitMs for `inferql_desired_workers`
 */
export function registerQueueGauges(
  registry: Registry,
  modelCache: ModelCache,
  targetWaitMs: number,
): () => Promise<void> {
  const figures: Figure[] = [
    {
      name: 'inferql_queue_waiting',
      help: 'Jobs that wait for a worker.',
      read: ({ waiting }) => waiting,
    },
    {
      name: 'inferql_queue_processing',
      help: 'Jobs that workers have started.',
      read: ({ processing }) => processing,
    },
    {
      name: 'inferql_queue_bytes',
      help: 'Bytes of prepared images in Redis.',
      read: ({ queuedBytes }) => queuedBytes,
    },
    {
      name: 'inferql_dead_letters',
      help: 'Jobs whose attempts all failed and that are kept for operators.',
      read: ({ deadLetters }) => deadLetters,
    },
    {
      name: 'inferql_workers',
      help: 'Live workers.',
      read: ({ workers }) => workers.length,
    },
    {
      name: 'inferql_capacity_images_per_second',
      help: 'Images per second of all live workers together, from their measured time per image.',
      read: ({ capacityPerSecond }) => capacityPerSecond,
    },
    {
      name: 'inferql_desired_workers',
      help: 'Workers that would end the open work within INFERQL_TARGET_WAIT_MS.',
      read: (queue) => countDesiredWorkers(queue, targetWaitMs),
    },
  ];
  const gauges = figures.map(({ name, help, read }) => ({
    gauge: new Gauge({ name, help, labelNames: ['model'], registers: [registry] }),
    read,
  }));

  return async () => {
    const names = await modelCache.listKnownNames(0);
    const queues = await Promise.all(names.map((name) => modelCache.readQueue(name, 0)));
    for (const { gauge, read } of gauges) {
      // A model that was removed has no samples; one whose workers are gone has them, so that they are missed.
      gauge.reset();
      for (const queue of queues) {
        const value = queue ? read(queue) : undefined;
        if (queue && value !== undefined) gauge.set({ model: queue.model }, value);
      }
    }
  };
}
