/**
 * Messages between the worker and its engine process. They are small JSON; pixels and probabilities go through an unnamed
 * file in shared memory that both hold open (measured for a batch of 8: 0.4 ms, against 0.8 with a pipe and 0.9 to 2.6
 * with messages).
 */
import type { ActivationMaps, EngineLoadFailure, EngineModel } from '../engine.ts';

/** File descriptor of the shared file in the engine process. */
export const SHARED_FD = 4;

/**
 * Where the answers begin; images begin at 0. The file is sparse, so that the distance costs nothing. Answers are
 * little-endian: probabilities and maps, if requested, as float32, then each output that the model declares, padded to 4 bytes.
 */
export const ANSWERS_AT = 2 ** 31;

/** Arrays begin at multiples of 4 bytes. */
export function paddedLength(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

export type ToEngine =
  /** `limitMs`: after this, the worker ends the process if the model is not loaded. */
  | { type: 'load'; model: EngineModel; limitMs: number }
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
      maps?: Omit<ActivationMaps, 'values'>;
      /** JSON per image. */
      extra?: (string | null)[];
      /** Why single images have no result. */
      failures?: (string | null)[];
    }
  | { type: 'failed'; id: number; message: string };
