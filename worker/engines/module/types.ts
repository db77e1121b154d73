/** Inputs and outputs of a model's code. */

export interface ModuleContext {
  /** The pixels that `run` gets per image: uint8, height x width x channels. */
  input: { width: number; height: number; channels: number };
  classCount: number;
  labels: readonly string[];
  /** Cores that a run may use. */
  threads: number;
}

export interface ModuleBatch {
  /** uint8, count x height x width x channels, channels last. Valid until the run ends. */
  images: Uint8Array;
  count: number;
}

export interface ModuleOutput {
  /** count x classCount, between 0 and 1: flat, or a row per image. */
  probabilities: Float32Array | number[] | ArrayLike<number>[];
  /** What else to store per image, as JSON: `result.extra` in the API. */
  extra?: unknown[];
}

/** A loaded model. One run at a time. */
export interface ModuleModel {
  /** An error fails the batch; its images are then tried one by one. */
  run(batch: ModuleBatch): ModuleOutput | Promise<ModuleOutput>;
}

export interface ModelModule {
  load(context: ModuleContext): ModuleModel | Promise<ModuleModel>;
}

/** The row of one image, for `postprocess`. */
export interface RowOutput {
  /** classCount values between 0 and 1. */
  probabilities: Float32Array;
  extra: unknown;
}

/** What `postprocess` may change; omitted fields stay. */
export interface RowChanges {
  probabilities?: ArrayLike<number>;
  extra?: unknown;
}

export type Postprocess = (output: RowOutput, context: Pick<ModuleContext, 'labels'>) => RowChanges | undefined;

/**
 * Types an engine module. The module's default export is what this returns, or the function `load` alone.
 * @example
 * // models/brightness/engine.js
 * export default defineModel({
 *   load: ({ input }) => ({
 *     run: ({ images, count }) => ({ probabilities: measureBrightness(images, count, input) }),
 *   }),
 * });
 */
export function defineModel(module: ModelModule): ModelModule {
  return module;
}
