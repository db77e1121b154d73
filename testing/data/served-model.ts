import type { ServedModel } from '@inferql/queue/contract';

export interface ServedModelChanges extends Partial<Omit<ServedModel, 'queue'>> {
  queue?: Partial<ServedModel['queue']>;
}

/** A model as a worker registers it: images of 2 x 2 pixels, three classes, a small queue. */
export function makeServedModel(name: string, { queue, ...changes }: ServedModelChanges = {}): ServedModel {
  return {
    name,
    version: 'aaaaaaaaaaaa',
    description: '',
    engine: 'scripted',
    engineReason: 'a test',
    precision: 'float32',
    input: { width: 2, height: 2, channels: 3, kernel: 'linear' },
    classCount: 3,
    heatmap: { available: false },
    batching: { maxBatchSize: 8, maxQueueDelayMs: 0 },
    queue: {
      maxQueueSize: 100,
      maxQueuedBytes: 1_000_000,
      defaultTimeoutMs: 60_000,
      resultTtlMs: 60_000,
      visibilityMs: 10_000,
      maxAttempts: 3,
      graceMs: 0,
      ...queue,
    },
    ...changes,
  };
}
