/** Running a prepared model on a few images, by the engine that would serve it. */
import os from 'node:os';
import { type OutputArray, type OutputArrays, toEngineOutput } from '@inferql/worker/engines/output-arrays';
import ort from 'onnxruntime-node';
import { ModelError } from '../errors.ts';
import { wayOut } from '../export-advice.ts';
import { runBatch } from '../inspect/probe-onnx.ts';
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

/**
 * Loads a model for a few images.
 * @throws ModelError SOURCE_INVALID if no engine runs it
 */
export function openTrial(model: PreparedModel, print: CommandContext['print']): Promise<Trial> {
  if (model.modulePath !== undefined) return openModule(model, model.modulePath);
  return model.onnxPath === undefined ? openWasm(model, print) : openOnnx(model, model.onnxPath);
}

async function openOnnx(model: PreparedModel, onnxPath: string): Promise<Trial> {
  const options = { intraOpNumThreads: os.availableParallelism(), logSeverityLevel: 3 } as const;
  const session = await ort.InferenceSession.create(onnxPath, options).catch((cause: Error) => {
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

interface Loaded {
  run(batch: { images: Uint8Array; count: number; wantHeatmaps: boolean }): Promise<{
    probabilities: Float32Array;
    outputs?: OutputArrays;
  }>;
}

/** The engines of the worker run batches. */
function trialOf(loaded: Loaded): Trial {
  const runTogether = async (images: readonly Uint8Array[]): Promise<TrialAnswer> => {
    const count = images.length;
    const { probabilities, outputs = {} } = await loaded.run({ images: join(images), count, wantHeatmaps: false });
    const first = <T extends OutputArray>(values: T): T => values.slice(0, values.length / count) as T;
    return {
      probabilities: first(probabilities),
      outputs: Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, first(values)])),
    };
  };
  return { run: (pixels) => runTogether([pixels]), runTogether, close: async () => undefined };
}

function join(images: readonly Uint8Array[]): Uint8Array {
  const size = images[0]?.length ?? 0;
  const joined = new Uint8Array(size * images.length);
  for (const [i, image] of images.entries()) joined.set(image, i * size);
  return joined;
}

async function openModule({ spec, labels, outputs: declared }: PreparedModel, modulePath: string): Promise<Trial> {
  const { loadModule } = await import('@inferql/worker/engines/custom/custom-engine');
  const module = { path: modulePath, labels };
  const outputs = declared.map(toEngineOutput);
  const settings = {
    engine: 'module',
    input: spec.input,
    classCount: labels.length,
    outputs,
    threads: 1,
    module,
  } as const;
  const loaded = await loadModule(settings).catch((cause: Error) => {
    throw new ModelError('SOURCE_INVALID', cause.message, { cause });
  });
  return trialOf(loaded);
}

/** The engine that runs everything shows whether any does. */
async function openWasm(model: PreparedModel, print: CommandContext['print']): Promise<Trial> {
  const { spec, tfjsPath = '', labels, onnxUnavailable } = model;
  const outputs = model.outputs.map(toEngineOutput);
  print(`  not for onnxruntime: ${onnxUnavailable}; tried on wasm`);
  // Imports tfjs, which most models do not need.
  const { loadWasm } = await import('@inferql/worker/engines/tfjs/wasm');
  const format = spec.format === 'tfjs-graph' ? 'tfjs-graph' : 'tfjs-layers';
  const { activation, name: outputName } = spec.output;
  const tfjs = { path: tfjsPath, format, normalization: normalizationOf(spec.input), activation, outputName } as const;
  const settings = { engine: 'wasm', input: spec.input, classCount: labels.length, outputs, threads: 1, tfjs } as const;
  const loaded = await loadWasm(settings).catch((cause: Error) => {
    const reason = `no engine runs it: onnxruntime: ${onnxUnavailable}; wasm: ${cause.message}. ${wayOut(format)}`;
    throw new ModelError('SOURCE_INVALID', reason, { cause });
  });
  return trialOf(loaded);
}
