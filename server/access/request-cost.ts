import type { LimitCost } from '@inferql/queue/access/rate-limiter';
import { imageByteLength, type ServedModel } from '@inferql/queue/contract';

/** Assumed milliseconds per image of a model until a worker has measured it. */
const UNMEASURED_IMAGE_MS = 100;

/**
 * What one image costs its caller.
 * @param imageMs the measured milliseconds per image of the model; undefined before its first batch
 */
export function estimateCost({ input }: ServedModel, imageMs: number | undefined): LimitCost {
  return { machineMs: imageMs ?? UNMEASURED_IMAGE_MS, requests: 1, bytes: imageByteLength(input) };
}
