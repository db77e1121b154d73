import { availableParallelism, totalmem } from 'node:os';
import { defineSettings } from '../define-settings.ts';
import { integer } from '../value-types.ts';

const GIB = 1024 ** 3;

/** Of the machine, or of the container if that is less. */
function totalMemory(): number {
  return Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY);
}

/** How much of the machine the processes may use: processes, threads and memory. */
export const threadsAndMemory = defineSettings({
  workers: {
    name: 'INFERQL_WORKERS',
    formerNames: ['WORKERS'],
    type: integer({ max: 64 }),
    default: 1,
    description: 'Number of worker processes that `npm start` runs.',
    readBy: ['launcher'],
  },
  engineThreads: {
    name: 'INFERQL_ENGINE_THREADS',
    formerNames: ['ENGINE_THREADS'],
    type: integer({ min: 1 }),
    default: availableParallelism,
    defaultText: 'the cores; `npm start` divides them by `INFERQL_WORKERS`',
    description: 'Number of cores that one run of an engine may use.',
    readBy: ['worker', 'launcher'],
  },
  maxRssMb: {
    name: 'INFERQL_MAX_RSS_MB',
    formerNames: ['MAX_RSS_MB'],
    type: integer(),
    default: 0,
    unit: 'MiB',
    defaultText: '0 (no limit)',
    description:
      'If a worker and its engines use more memory than this, the worker finishes its running work and is restarted.',
    readBy: ['worker'],
  },
  decodeMemoryBytes: {
    name: 'INFERQL_DECODE_MEMORY',
    type: integer({ min: 64 * 1024 * 1024 }),
    default: () => Math.round(Math.min(2 * GIB, Math.max(GIB / 2, totalMemory() / 4))),
    defaultText: 'a quarter of the memory, 512 MiB to 2 GiB',
    unit: 'bytes',
    description:
      'Memory for images that are being decoded, as estimated from each file. Images wait until enough is free. An image that needs more than the total is refused.',
    readBy: ['server'],
  },
  decodeProcesses: {
    name: 'INFERQL_DECODE_PROCESSES',
    type: integer({ min: 1 }),
    default: () => Math.max(1, availableParallelism() >> 1),
    defaultText: 'half of the cores',
    description:
      'Number of processes that decode expensive images at a lower priority. They run only while there are such images. A process whose image takes too long is killed.',
    readBy: ['server'],
  },
  decodeConcurrency: {
    name: 'INFERQL_DECODE_CONCURRENCY',
    formerNames: ['DECODE_CONCURRENCY'],
    type: integer({ min: 1 }),
    default: () => 2 * availableParallelism() + 4,
    defaultText: 'twice the cores plus 4',
    description:
      'Maximum number of small images that are given to the decoding threads (`UV_THREADPOOL_SIZE`) at once. The default keeps all threads busy.',
    readBy: ['server'],
  },
});
