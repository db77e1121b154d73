/**
 * The interface of engines, which run models. An engine runs in a child process of the worker (`engines/process/engine-process-main.ts`), because native
 * code in a thread cannot be interrupted, and a crash in it ends the process. `engines/process/engine-process.ts` is the worker's side.
 */

import type { Normalization } from '@inferql/converter/spec/normalization';
import type { EngineOutputSpec, OutputArrays } from './output-arrays.ts';

export type EngineName = 'onnxruntime' | 'tensorflow' | 'wasm' | 'module' | 'scripted';

/** Images of one run. */
export interface EngineBatch {
  /** uint8, count x height x width x channels, channels last. Only valid until the run ends: the next one overwrites it. */
  images: Uint8Array;
  count: number;
  /** Also return maps of the best labels. */
  wantHeatmaps: boolean;
}

/**
 * Class activation maps of each image's best labels, in the order of `topKIndexes`, unscaled: count x labels x
 * height x width.
 */
export interface ActivationMaps {
  values: Float32Array;
  labels: number;
  width: number;
  height: number;
  /** Per image: the classes of its maps, if postprocessing may have changed which labels are the best. */
  classes?: number[][];
}

export interface EngineOutput {
  /** count x classCount, row by row. */
  probabilities: Float32Array;
  maps?: ActivationMaps;
  /** The outputs that the model declares, all of them. */
  outputs?: OutputArrays;
  /** Further output to store per image, as JSON. */
  extra?: unknown[];
  /** Per image: why it has no result; undefined if it has one. */
  failures?: (string | undefined)[];
}

/** A model loaded by an engine. One run at a time. */
export interface LoadedModel {
  /** Whether a run can return maps. */
  hasHeatmaps: boolean;
  /** @throws whatever the engine throws; the batch then counts as failed. */
  run(batch: EngineBatch): Promise<EngineOutput>;
}

/**
 * Loads a model. Each engine exports one such function.
 * @param limitMs after this, the process is ended if the model is not loaded
 * @throws EngineLoadError if this engine is not installed here or cannot read the model
 * @example
 * export const loadConstant: LoadModel = async ({ classCount }) => ({
 *   hasHeatmaps: false,
 *   run: async ({ count }) => ({ probabilities: new Float32Array(count * classCount).fill(1 / classCount) }),
 * });
 */
export type LoadModel = (model: EngineModel, limitMs: number) => Promise<LoadedModel>;

/**
 * An engine of scripted answers, for tests and measurements. The best class of an image follows from its first pixel:
 * (red + 256 green + 65536 blue) modulo the number of classes. The fields that end in `On` name values of the first byte.
 */
export interface ScriptedBehavior {
  /** Wall time of a run, whatever its size. */
  waitMs: number;
  /** Additional wall time per image. */
  waitMsPerImage: number;
  /** The run throws. */
  throwOn: number[];
  /** The run answers NaN for that image alone. */
  nanOn: number[];
  /** The run never ends and blocks the engine's thread. */
  hangOn: number[];
  /** The engine process exits. */
  exitOn: number[];
  /** The engine process aborts as native code would. */
  abortOn: number[];
  /** Bytes that each run leaks. */
  leakBytes: number;
  /** Loading the model fails. */
  failToLoad: boolean;
}

/** What an engine must know about a model; sent to the child process as JSON. */
export interface EngineModel {
  engine: EngineName;
  input: { width: number; height: number; channels: number };
  /** 0 for a model without labels. */
  classCount: number;
  /** What it gives besides probabilities. */
  outputs?: EngineOutputSpec[];
  /** Threads that a run may use. */
  threads: number;
  onnx?: { path: string };
  /** Inputs of class activation maps, if the model supports them. */
  heatmap?: {
    /** Name of the ONNX file's output with the features: float32, count x channels x height x width. */
    featuresOutput: string;
    /** The dense layer's weights: little-endian float32, classes x channels. */
    kernelPath: string;
    /** Number of maps per image, for its best labels. */
    labels: number;
  };
  tfjs?: {
    /** The model.json. */
    path: string;
    format: 'tfjs-layers' | 'tfjs-graph';
    normalization: Normalization;
    /** What the model's output holds: 'softmax' and 'sigmoid' are probabilities already. */
    activation: 'softmax' | 'logits' | 'sigmoid' | 'logits-sigmoid';
    /** Which of several outputs: the name in the signature, or the layer that produces it. */
    outputName?: string | undefined;
  };
  /** The user's code, and its class names. */
  module?: { path: string; labels: readonly string[] };
  /** A module that changes each image's output; runs after any engine. */
  postprocess?: { path: string; labels: readonly string[]; timeLimitMs: number };
  scripted?: ScriptedBehavior;
}

/** Why a model could not be loaded: the engine is not installed, does not support something in the model, or failed. */
export type EngineLoadFailure = 'notInstalled' | 'unsupported' | 'failed';

/** An engine could not load a model; the worker then tries the next candidate. */
export class EngineLoadError extends Error {
  readonly failure: EngineLoadFailure;

  constructor(failure: EngineLoadFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'EngineLoadError';
    this.failure = failure;
  }
}
