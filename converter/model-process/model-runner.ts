/** Running a user's model: the same interface for a separate process (`process-runner.ts`) and for this one (`local-runner.ts`). */
import type { EngineModel } from '@inferql/worker/engines/engine';
import type { OutputArrays } from '@inferql/worker/engines/output-arrays';
import type { FrontReading } from '../inspect/embedded-preprocessing/front-readings.ts';
import type { FrontInput } from '../inspect/embedded-preprocessing/run-front.ts';
import type { ModelFront } from '../onnx-reader/model-front.ts';

/** A tensor outside onnxruntime. */
export interface TensorValues {
  /** As onnxruntime names it, such as `float32`. */
  type: string;
  dims: readonly number[];
  data: ArrayLike<unknown>;
}

export interface OnnxPorts {
  /** Sizes that the file leaves open have names. */
  inputs: { name: string; shape: readonly (number | string)[] }[];
  outputNames: readonly string[];
}

export interface OnnxRun {
  outputs: Record<string, TensorValues>;
  /** Of the run alone. */
  inferenceMs: number;
}

/** An ONNX model that onnxruntime has loaded. */
export interface OnnxSession extends OnnxPorts {
  /**
   * @param images how many images it gets: each has its time
   * @throws Error with onnxruntime's message; ModelError as `ModelRunner` says
   */
  run(feeds: Record<string, TensorValues>, fetches: readonly string[], images: number): Promise<OnnxRun>;
  release(): Promise<void>;
}

export interface OnnxOptions {
  /** @default as many as onnxruntime likes */
  threads?: number;
  /** Of an image. Larger ones take longer. */
  input: { width: number; height: number };
}

/** A model that one of the worker's engines has loaded. */
export interface EngineSession {
  /** @param images uint8, one after the other */
  run(images: Uint8Array, count: number): Promise<{ probabilities: Float32Array; outputs?: OutputArrays }>;
  close(): Promise<void>;
}

/** A model whose code is the user's, or that only tfjs reads. */
export type RunnableEngineModel = EngineModel & { engine: 'wasm' | 'module' };

/**
 * Runs users' models. What a model itself throws is an Error with its message.
 * @throws ModelError RUN_TIMEOUT, RUN_CRASHED, RUN_OUT_OF_MEMORY or CANCELED, if it runs models in a process
 */
export interface ModelRunner {
  /** Prepares for the first model while the caller does something else. */
  warmUp(): void;
  openOnnx(file: string, options: OnnxOptions): Promise<OnnxSession>;
  openEngine(model: RunnableEngineModel): Promise<EngineSession>;
  /** The sizes of what a tfjs model returns for one image. */
  answerSizes(tfjs: NonNullable<EngineModel['tfjs']>, input: EngineModel['input']): Promise<number[]>;
  /** Runs a front on test images. Undefined if it does not run. */
  readFront(bytes: Uint8Array, front: ModelFront, input: FrontInput): Promise<FrontReading | undefined>;
  /** Ends whatever is still running. */
  close(): Promise<void>;
}
