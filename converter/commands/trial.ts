/** Running a prepared model on a few images, by the engine that would serve it. */
import os from 'node:os';
import { toEngineOutput } from '@inferql/worker/engines/declared-outputs';
import type { OutputArray, OutputArrays } from '@inferql/worker/engines/output-arrays';
import { ModelError } from '../errors.ts';
import { wayOut } from '../export-advice.ts';
import { runBatch } from '../inspect/probe-onnx.ts';
import type { EngineSession, RunnableEngineModel } from '../model-process/model-runner.ts';
import { outputPort } from '../onnx-writer/output-port.ts';
import type { PreparedModel } from '../prepared-model.ts';
import { normalizationOf } from '../spec/normalization.ts';
import type { CommandContext } from './command-context.ts';

/** What a model gives for one image. */
export interface TrialAnswer {
  /** A probability per class; empty for a model without labels. */
  probabilities: Float32Array;
  /** The outputs that its spec declares. */
  outputs: OutputArrays;
}

/** A model that is loaded for a trial. */
export interface Trial {
  /** Runs it on one image's pixels. */
  run(pixels: Uint8Array): Promise<TrialAnswer>;
  /** Runs it on several images at once, and gives the answer to the first. */
  runTogether(images: readonly Uint8Array[]): Promise<TrialAnswer>;
  close(): Promise<void>;
}

export type TrialContext = Pick<CommandContext, 'print' | 'runner'>;

/**
 * Loads a model for a few images.
 * @throws ModelError SOURCE_INVALID if no engine runs it; what the runner throws
 */
export function openTrial(model: PreparedModel, context: TrialContext): Promise<Trial> {
  if (model.modulePath !== undefined) return openModule(model, model.modulePath, context);
  return model.onnxPath === undefined ? openWasm(model, context) : openOnnx(model, model.onnxPath, context);
}

async function openOnnx(model: PreparedModel, onnxPath: string, { runner }: TrialContext): Promise<Trial> {
  const options = { threads: os.availableParallelism(), input: model.spec.input };
  const session = await runner.openOnnx(onnxPath, options).catch((cause: Error) => {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', `onnxruntime cannot load it: ${cause.message}`, { cause });
  });
  const hasLabels = model.classCount > 0;
  const fetches = [...(hasLabels ? ['probabilities'] : []), ...model.outputs.map(({ name }) => outputPort(name))];
  const runTogether = async (images: readonly Uint8Array[]): Promise<TrialAnswer> => {
    const { values } = await runBatch(session, images, model.spec, fetches);
    const first = (name: string) => values.get(name)?.[0];
    return {
      probabilities: (first('probabilities') as Float32Array | undefined) ?? new Float32Array(),
      outputs: Object.fromEntries(
        model.outputs.map(({ name }) => [name, first(outputPort(name)) ?? new Float32Array()]),
      ),
    };
  };
  return { run: (pixels) => runTogether([pixels]), runTogether, close: () => session.release() };
}

/** The engines of the worker run batches. */
function trialOf(session: EngineSession): Trial {
  const runTogether = async (images: readonly Uint8Array[]): Promise<TrialAnswer> => {
    const count = images.length;
    const { probabilities, outputs = {} } = await session.run(join(images), count);
    const first = <T extends OutputArray>(values: T): T => values.slice(0, values.length / count) as T;
    return {
      probabilities: first(probabilities),
      outputs: Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, first(values)])),
    };
  };
  return { run: (pixels) => runTogether([pixels]), runTogether, close: () => session.close() };
}

function join(images: readonly Uint8Array[]): Uint8Array {
  const size = images[0]?.length ?? 0;
  const joined = new Uint8Array(size * images.length);
  for (const [i, image] of images.entries()) joined.set(image, i * size);
  return joined;
}

async function openModule(
  { spec, labels, outputs: declared }: PreparedModel,
  modulePath: string,
  { runner }: TrialContext,
): Promise<Trial> {
  const module = { path: modulePath, labels };
  const outputs = declared.map(toEngineOutput);
  const settings: RunnableEngineModel = {
    engine: 'module',
    input: spec.input,
    classCount: labels.length,
    outputs,
    threads: 1,
    module,
  };
  const session = await runner.openEngine(settings).catch((cause: Error) => {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', cause.message, { cause });
  });
  return trialOf(session);
}

/** The engine that runs everything shows whether any does. */
async function openWasm(model: PreparedModel, { print, runner }: TrialContext): Promise<Trial> {
  const { spec, tfjsPath = '', labels, onnxUnavailable } = model;
  const outputs = model.outputs.map(toEngineOutput);
  print(`  not for onnxruntime: ${onnxUnavailable}; tried on wasm`);
  const format = spec.format === 'tfjs-graph' ? 'tfjs-graph' : 'tfjs-layers';
  const { activation, name: outputName } = spec.output;
  const tfjs = { path: tfjsPath, format, normalization: normalizationOf(spec.input), activation, outputName } as const;
  const settings = { engine: 'wasm', input: spec.input, classCount: labels.length, outputs, threads: 1, tfjs } as const;
  const session = await runner.openEngine(settings).catch((cause: Error) => {
    if (cause instanceof ModelError) throw cause;
    const reason = `no engine runs it: onnxruntime: ${onnxUnavailable}; wasm: ${cause.message}. ${wayOut(format, onnxUnavailable ?? '')}`;
    throw new ModelError('SOURCE_INVALID', reason, { cause });
  });
  return trialOf(session);
}
