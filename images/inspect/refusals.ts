import { InferqlError } from '@inferql/queue/error-codes';
import type { ImageFacts } from './image-facts.ts';

/** CPU milliseconds that one image may be expected to take: twice what the most expensive ordinary image of 64 megapixels takes. */
export const MAX_COST_MS = 10_000;

export interface DecodeLimits {
  maxPixels: number;
  /** CPU milliseconds that one image may be expected to take. */
  maxCostMs: number;
  /** Bytes that decoding one image may be expected to take. */
  maxMemoryBytes: number;
}

/** @returns the error for an intact file of a kind that is not decoded here. `feature` completes 'This server does not read ...'. */
export function refuseFeature(feature: string): InferqlError {
  return new InferqlError('UNSUPPORTED_FORMAT', { message: `This server does not read ${feature}.` });
}

/** @returns the error for a file that needs more work than its picture is worth. */
export function refuseWork(reason: string): InferqlError {
  return new InferqlError('TOO_COMPLEX', { message: `The image takes too much work to decode: ${reason}.` });
}

/** @returns the error for a file that is damaged or truncated */
export function refuseDamage(cause?: unknown): InferqlError {
  return new InferqlError('CORRUPT', cause === undefined ? {} : { cause });
}

/**
 * Compares what a file says about itself with what one image may cost.
 * @throws InferqlError TOO_MANY_PIXELS or TOO_COMPLEX, with the number and the limit
 */
export function checkLimits({ width, height, costMs, memoryBytes }: ImageFacts, limits: DecodeLimits): void {
  if (width * height > limits.maxPixels) {
    const size = `${width} x ${height} pixels (${formatMega(width * height)} megapixels)`;
    const limit = `${formatMega(limits.maxPixels)} megapixels`;
    throw new InferqlError('TOO_MANY_PIXELS', { message: `The image has ${size}. This server accepts ${limit}.` });
  }
  if (costMs > limits.maxCostMs) {
    throw refuseWork(
      `about ${(costMs / 1000).toFixed(1)} seconds of CPU time, and the limit is ${limits.maxCostMs / 1000}`,
    );
  }
  if (memoryBytes > limits.maxMemoryBytes) {
    throw refuseWork(
      `about ${formatMega(memoryBytes)} MB of memory, and the limit is ${formatMega(limits.maxMemoryBytes)}`,
    );
  }
}

function formatMega(count: number): string {
  return (count / 1e6).toFixed(count < 1e8 ? 1 : 0);
}
