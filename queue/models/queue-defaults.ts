/** How a model is batched and queued if its spec does not say: sizes of batch and queue, lease, attempts and times. */
import type { ServedModel } from '../contract.ts';

export const BATCHING_DEFAULTS = {
  maxBatchSize: 8,
  maxQueueDelayMs: 5,
} as const satisfies ServedModel['batching'];

export const QUEUE_DEFAULTS = {
  maxQueueSize: 1_000,
  maxQueuedBytes: 256 * 1024 * 1024,
  defaultTimeoutMs: 300_000,
  resultTtlMs: 3_600_000,
  /** The lease: how long a claimed job may go without a heartbeat before another worker reclaims it. */
  visibilityMs: 10_000,
  maxAttempts: 3,
  /** How long a model without a live worker still accepts work. */
  graceMs: 60_000,
  /** Tenants share the work of a priority by their weights. */
  fairShares: true,
  refuseUnreachableDeadlines: false,
} as const satisfies Required<ServedModel['queue']>;
