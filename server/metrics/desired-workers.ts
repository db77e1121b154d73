import type { QueueState } from '@inferql/queue/contract';
import { meanImageMs } from '@inferql/queue/models/queue-state';

/**
 * How many workers would end all open work of a queue within `targetWaitMs`, at the mean measured time per image. 0 if there is no work.
 * Until a worker has measured its time: one if there is work.
 */
export function countDesiredWorkers(
  { waiting, processing, workers }: Pick<QueueState, 'waiting' | 'processing' | 'workers'>,
  targetWaitMs: number,
): number {
  const open = waiting + processing;
  if (open === 0) return 0;
  const imageMs = meanImageMs(workers);
  if (imageMs === undefined) return 1;
  return Math.max(1, Math.ceil((open * imageMs) / targetWaitMs));
}
