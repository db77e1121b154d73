/**
 * Messages between the worker and its engine's process. They are small JSON; pixels and probabilities go through a file
 * without a name in shared memory that both hold open (measured for a batch of 8: 0.4 ms, against 0.8 by a pipe and 0.9 to
 * 2.6 by messages).
 */
import type { EngineLoadFailure, EngineModel } from '../engine.ts';

/** File descriptor of the shared file in the engine's process. */
export const SHARED_FD = 4;

/**
 * Where the answers begin; images begin at 0. The file is sparse, so that the distance costs nothing. Answers are
 * little-endian float32: probabilities, then maps where they were wanted.
 */
export const ANSWERS_AT = 2 ** 31;

export type ToEngine =
  | { type: 'load'; model: EngineModel }
  | { type: 'run'; id: number; count: number; wantHeatmaps: boolean };

export type FromEngine =
  | { type: 'loaded'; rssBytes: number; hasHeatmaps: boolean }
  | { type: 'loadFailed'; failure: EngineLoadFailure; message: string }
  | {
      type: 'done';
      id: number;
      inferenceMs: number;
      rssBytes: number;
      /** Length of the probabilities in float32 values. */
      probabilities: number;
      maps?: { labels: number; width: number; height: number };
      /** JSON per image. */
      extra?: (string | null)[];
    }
  | { type: 'failed'; id: number; message: string };
