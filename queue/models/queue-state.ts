import { imageByteLength, type QueueState, type ServedModel, type WorkerRecord } from '../contract.ts';

/** The reply of lua/read-queue.lua: waiting, dead letters, counters, worker records, and two counts per tenant: held and begun jobs. */
export type QueueReply = [number, number, string[], string[], string[], string[]];

/** @param readWorker undefined for a record that this release cannot read */
export function parseQueueState(
  spec: ServedModel,
  [waiting, deadLetters, flat, records, held, begun]: QueueReply,
  readWorker: (record: string) => WorkerRecord | undefined,
): QueueState {
  const counters = toCounts(flat);
  const ended = (status: string) => counters.get(`ended:${status}`) ?? 0;
  const workers = records.flatMap((record) => readWorker(record) ?? []);
  const rates = workers.flatMap(({ imageMs }) => (imageMs ? [1000 / imageMs] : []));
  return {
    model: spec.name,
    waiting,
    tenants: toCounts(held),
    running: toCounts(begun),
    imageBytes: imageByteLength(spec.input),
    processing: counters.get('processing') ?? 0,
    queuedBytes: counters.get('bytes') ?? 0,
    deadLetters,
    workers,
    capacityPerSecond: rates.length > 0 ? rates.reduce((sum, rate) => sum + rate) : undefined,
    maxQueueSize: spec.queue.maxQueueSize,
    ended: {
      SUCCEEDED: ended('SUCCEEDED'),
      FAILED: ended('FAILED'),
      CANCELED: ended('CANCELED'),
      EXPIRED: ended('EXPIRED'),
    },
  };
}

/** The mean of the workers' milliseconds per image; undefined before the first measurement. */
export function meanImageMs(workers: readonly WorkerRecord[]): number | undefined {
  const measured = workers.flatMap(({ imageMs }) => imageMs ?? []);
  return measured.length > 0 ? measured.reduce((sum, ms) => sum + ms) / measured.length : undefined;
}

/** A hash of counters, as scripts return it. */
function toCounts(flat: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < flat.length; i += 2) counts.set(flat[i]!, Number(flat[i + 1]));
  return counts;
}
