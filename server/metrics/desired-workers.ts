import type { QueueState } from '@inferql/queue/contract';

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
  const measured = workers.flatMap(({ imageMs }) => imageMs ?? []);
  if (measured.length === 0) return 1;
  const imageMs = measured.reduce((sum, ms) => sum + ms) / measured.length;
  return Math.max(1, Math.ceil((open * imageMs) / targetWaitMs));
}
