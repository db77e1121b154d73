/**
 * What runs a model. An engine lives in a child process of the worker (`engines/process/engine-process-main.ts`), because native code can neither be
 * interrupted nor survive its own crash inside a thread; `engines/process/engine-process.ts` is its other end.
 */

import type { Normalization } from '@inferql/converter/normalization';

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
 * Class activation maps of each image's best labels, in the order of `bestIndexes`, as they come, not scaled: count x labels x
 * height x width.
 */
export interface ActivationMaps {
  values: Float32Array;
  labels: number;
  width: number;
  height: number;
}

export interface EngineOutput {
  /** count x classCount, row by row. */
  probabilities: Float32Array;
  maps?: ActivationMaps;
  /** What else is to be stored per image, as JSON. */
  extra?: unknown[];
}

/** A model loaded by an engine. One run at a time. */
export interface LoadedModel {
  /** Whether a run can return maps. */
  hasHeatmaps: boolean;
  /** @throws whatever the engine throws; the batch then counts as failed. */
  run(batch: EngineBatch): Promise<EngineOutput>;
}

/** Loads a model. @throws EngineLoadError when this engine is not installed here or cannot read the model. */
export type LoadModel = (model: EngineModel) => Promise<LoadedModel>;

/**
 * An engine of scripted answers, for tests and measurements. The best class of an image is told by its first pixel:
 * (red + 256 green + 65536 blue) modulo the number of classes. The fields that end in `On` name values of the first byte.
 */
export interface ScriptedBehavior {
  /** Wall time of a run, whatever its size. */
  waitMs: number;
  /** More wall time an image. */
  waitMsPerImage: number;
  /** The run throws. */
  throwOn: number[];
  /** The run answers NaN for that image alone. */
  nanOn: number[];
  /** The run never ends and blocks the engine's thread. */
  hangOn: number[];
  /** The engine's process exits. */
  exitOn: number[];
  /** The engine's process aborts as native code would. */
  abortOn: number[];
  /** Bytes that each run never gives back. */
  leakBytes: number;
  /** Loading the model fails. */
  failToLoad: boolean;
}

/** What an engine must know of a model; sent to the child process as JSON. */
export interface EngineModel {
  engine: EngineName;
  input: { width: number; height: number; channels: number };
  classCount: number;
  /** Threads that a run may use. */
  threads: number;
  onnx?: { path: string };
  /** What maps are made of, where the model has any. */
  heatmap?: {
    /** Name of the ONNX file's output with the features: float32, count x channels x height x width. */
    featuresOutput: string;
    /** The dense layer's weights: little-endian float32, classes x channels. */
    kernelPath: string;
    /** Maps an image, of its best labels. */
    labels: number;
  };
  tfjs?: {
    /** The model.json. */
    path: string;
    format: 'tfjs-layers' | 'tfjs-graph';
    normalization: Normalization;
    /** What the model's own output is: 'softmax' and 'sigmoid' are probabilities already. */
    activation: 'softmax' | 'logits' | 'sigmoid' | 'logits-sigmoid';
    /** Which output of a model with several: by its signature's name, or by the layer that makes it. */
    outputName?: string | undefined;
  };
  /** The user's own code, and its class names. */
  module?: { path: string; labels: readonly string[] };
  /** A module that changes each image's output, run after any engine. */
  postprocess?: { path: string; labels: readonly string[] };
  scripted?: ScriptedBehavior;
}

/** Why a model could not be loaded: the engine is missing here, does not know something in the model, or failed. */
export type EngineLoadFailure = 'notInstalled' | 'unsupported' | 'failed';

export class EngineLoadError extends Error {
  readonly failure: EngineLoadFailure;

  constructor(failure: EngineLoadFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'EngineLoadError';
    this.failure = failure;
  }
}
