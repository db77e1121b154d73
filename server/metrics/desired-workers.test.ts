import type { WorkerRecord } from '@inferql/queue/contract';
import { describe, expect, test } from 'vitest';
import { countDesiredWorkers } from './desired-workers.ts';

const worker = (imageMs?: number): WorkerRecord => ({
  worker: 'w',
  version: '0123456789ab',
  engine: 'onnxruntime',
  imageMs,
  startedAtMs: 0,
});

describe('countDesiredWorkers', () => {
  test.each([
    ['no work needs none', { waiting: 0, processing: 0, workers: [worker(50)] }, 0],
    ['work without a worker needs one', { waiting: 500, processing: 0, workers: [] }, 1],
    ['work before the first measurement needs one', { waiting: 500, processing: 0, workers: [worker()] }, 1],
    ['little work needs one', { waiting: 1, processing: 0, workers: [worker(50)] }, 1],
    ['100 images of 50 ms fill 5 s exactly', { waiting: 92, processing: 8, workers: [worker(50)] }, 1],
    ['one image more needs another', { waiting: 93, processing: 8, workers: [worker(50)] }, 2],
    [
      'the mean of the workers that have measured',
      { waiting: 1_000, processing: 0, workers: [worker(30), worker(50), worker()] },
      8,
    ],
  ])('%s', (_, queue, expected) => {
    expect(countDesiredWorkers(queue, 5_000)).toBe(expected);
  });
});
