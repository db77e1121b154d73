/** How long a model may take to load, and for each image: enough for a slow machine that also does other work. */

const BASE_MS = 60_000;
/** Measured: all of `add`, for a file of 128 MB, takes 31 to 59 ms per megabyte on two busy cores. */
const MS_PER_MEGABYTE = 1_000;
/** Larger images take longer in proportion. */
const USUAL_PIXELS = 224 * 224;
const MS_PER_MEGAPIXEL = 10_000;
/** WebAssembly, plain JavaScript and users' code. */
const SLOW_ENGINE = 4;

export interface Workload {
  /** Of the model's files. */
  bytes: number;
  /** Of an image. */
  pixels: number;
  isSlowEngine?: boolean;
}

/** @returns milliseconds, for the loading and for each image */
export function timeLimitMs({ bytes, pixels, isSlowEngine = false }: Workload): number {
  const forWeights = (bytes / 1e6) * MS_PER_MEGABYTE * Math.max(1, pixels / USUAL_PIXELS);
  const forPixels = (pixels / 1e6) * MS_PER_MEGAPIXEL;
  return Math.round((BASE_MS + forWeights + forPixels) * (isSlowEngine ? SLOW_ENGINE : 1));
}
