/** Messages between a command and its model process. */
import type { EngineModel } from '@inferql/worker/engines/engine';
import type { OutputArrays } from '@inferql/worker/engines/output-arrays';
import type { FrontReading } from '../inspect/embedded-preprocessing/front-readings.ts';
import type { FrontInput } from '../inspect/embedded-preprocessing/run-front.ts';
import type { ModelFront } from '../onnx-reader/model-front.ts';
import type { OnnxPorts, OnnxRun, RunnableEngineModel, TensorValues } from './model-runner.ts';

/** Requests, and what is answered to them. */
export interface ModelCalls {
  openOnnx: [{ file: string; threads?: number }, OnnxPorts & { session: number }];
  runOnnx: [{ session: number; feeds: Record<string, TensorValues>; fetches: readonly string[] }, OnnxRun];
  releaseOnnx: [{ session: number }, undefined];
  openEngine: [RunnableEngineModel, { session: number }];
  runEngine: [
    { session: number; images: Uint8Array; count: number },
    { probabilities: Float32Array; outputs?: OutputArrays },
  ];
  closeEngine: [{ session: number }, undefined];
  answerSizes: [{ tfjs: NonNullable<EngineModel['tfjs']>; input: EngineModel['input'] }, number[]];
  readFront: [{ bytes: Uint8Array; front: ModelFront; input: FrontInput }, FrontReading | undefined];
}
export type CallName = keyof ModelCalls;
export type Request<Name extends CallName> = ModelCalls[Name][0];
export type Answer<Name extends CallName> = ModelCalls[Name][1];

export type ToModelProcess = { [Name in CallName]: { id: number; name: Name; request: Request<Name> } }[CallName];
export type FromModelProcess = { id: number; answer: Answer<CallName> } | { id: number; error: string };

/** What the model process writes to standard error before it ends because of its memory. */
export const MEMORY_MARK = 'inferql: over the memory limit';
