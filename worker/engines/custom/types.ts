/** Inputs and outputs of a model's code. */
import type { ModuleDeclaration } from '@inferql/converter/spec/module-declaration';

export interface ModuleContext {
  /** The pixels that `run` gets per image: uint8, height x width x channels. */
  input: { width: number; height: number; channels: number };
  classCount: number;
  labels: readonly string[];
  /** What `run` must give under `outputs`. */
  outputs: readonly { name: string; dtype: 'float32' | 'int32' | 'uint8'; elements: number }[];
  /** Cores that a run may use. */
  threads: number;
}

export interface ModuleBatch {
  /** uint8, count x height x width x channels, channels last. Valid until the run ends. */
  images: Uint8Array;
  count: number;
}

/** Numbers of several images: one after the other, or a row per image. */
export type Rows = Float32Array | Int32Array | Uint8Array | number[] | ArrayLike<number>[];

export interface ModuleOutput {
  /** count x classCount, between 0 and 1: flat, or a row per image. Left out by a model without labels. */
  probabilities?: Rows;
  /** Of each output that the specification declares, by its name: count x elements, flat, or a row per image. */
  outputs?: Readonly<Record<string, Rows>>;
  /** What else to store per image, as JSON: `result.extra` in the API. */
  extra?: unknown[];
}

/** A loaded model. One run at a time. */
export interface ModuleModel {
  /** An error fails the batch; its images are then tried one by one. */
  run(batch: ModuleBatch): ModuleOutput | Promise<ModuleOutput>;
}

/** What the code declares instead of `model.json5`, and how the model is loaded. */
export interface ModelModule extends ModuleDeclaration {
  /** Called once per engine process. What is declared is read without it. */
  load(context: ModuleContext): ModuleModel | Promise<ModuleModel>;
}

/** The row of one image, for `postprocess`. */
export interface RowOutput {
  /** classCount values between 0 and 1. */
  probabilities: Float32Array;
  /** A copy of the image's values of each output that the specification declares. */
  outputs: Record<string, Float32Array | Int32Array | Uint8Array>;
  extra: unknown;
}

/** What `postprocess` may change; omitted fields stay. */
export interface RowChanges {
  probabilities?: ArrayLike<number>;
  /** As many values as the output has. */
  outputs?: Readonly<Record<string, ArrayLike<number>>>;
  extra?: unknown;
}

export type Postprocess = (output: RowOutput, context: Pick<ModuleContext, 'labels'>) => RowChanges | undefined;

/**
 * Types an engine module. The module's default export is what this returns, or the function `load` alone. What it declares needs no
 * `model.json5`.
 * @example
 * // models/brightness/engine.js
 * export default defineModel({
 *   name: 'brightness',
 *   input: { width: 32, height: 32, channels: 1 },
 *   labels: ['dark', 'bright'],
 *   load: ({ input }) => ({
 *     run: ({ images, count }) => ({ probabilities: measureBrightness(images, count, input) }),
 *   }),
 * });
 */
export function defineModel(module: ModelModule): ModelModule {
  return module;
}
