/** When callers that a full queue refuses are asked to return. */
import type { QueueState } from '@inferql/queue/contract';

export const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** Milliseconds until half of the waiting jobs are done, at the measured rate. */
export function estimateRetryMs({ waiting, capacityPerSecond }: QueueState): number {
  if (!capacityPerSecond) return MIN_RETRY_MS * 5;
  return Math.round(Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, (waiting / capacityPerSecond) * 500)));
}
