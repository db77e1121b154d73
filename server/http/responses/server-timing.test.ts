import type { PredictionState } from '@inferql/queue/contract';
import { describe, expect, test } from 'vitest';
import { formatServerTiming } from './server-timing.ts';

const succeeded = {
  status: 'SUCCEEDED',
  createdAtMs: 1_000,
  startedAtMs: 1_012,
  finishedAtMs: 1_060,
  inferenceMs: 41.26,
  cached: false,
} as PredictionState;
const timings = { uploadMs: 3.04, decodeMs: 4.55 };

describe('formatServerTiming', () => {
  test('a prediction that has ended', () => {
    expect(formatServerTiming([{ state: succeeded, timings }])).toBe(
      'upload;dur=3, decode;dur=4.6, queue;dur=12, infer;dur=41.3',
    );
  });

  test('a prediction that waits has no steps of the queue and the engine', () => {
    const state = { ...succeeded, status: 'QUEUED', startedAtMs: undefined, inferenceMs: undefined } as PredictionState;
    expect(formatServerTiming([{ state, timings }])).toBe('upload;dur=3, decode;dur=4.6');
  });

  test('nothing ran for a cached result', () => {
    expect(formatServerTiming([{ state: { ...succeeded, cached: true }, timings }])).toBe(
      'upload;dur=3, decode;dur=4.6',
    );
  });

  test('the longest of several images', () => {
    const other = { state: { ...succeeded, inferenceMs: 80 }, timings: { uploadMs: 9, decodeMs: 1 } };
    expect(formatServerTiming([{ state: succeeded, timings }, other])).toBe(
      'upload;dur=9, decode;dur=4.6, queue;dur=12, infer;dur=80',
    );
  });

  test('a clock that was set back gives no negative time', () => {
    expect(formatServerTiming([{ state: { ...succeeded, startedAtMs: 400 } }])).toBe('queue;dur=0, infer;dur=41.3');
  });
});
