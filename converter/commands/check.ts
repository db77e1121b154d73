import os from 'node:os';
import path from 'node:path';
import { listOutputs } from '@inferql/queue/outputs';
import { toEngineOutput } from '@inferql/worker/engines/output-arrays';
import ort from 'onnxruntime-node';
import { ModelError } from '../errors.ts';
import { runOne } from '../inspect/probe-onnx.ts';
import { normalizationOf } from '../normalization.ts';
import { type PreparedModel, prepareModel } from '../prepared-model.ts';
import { readSample } from '../sample-images.ts';
import { type CommandContext, describeOddFolders, listModels, listSamples, requireModel } from './command-context.ts';

const SHOWN_LABELS = 3;

/**
 * Prepares models and runs each on the samples.
 * @returns how many of them cannot be served
 */
export async function checkModels(names: readonly string[], context: CommandContext): Promise<number> {
  let failed = 0;
  for (const name of names.length > 0 ? names : await listModels(context.modelsDir)) {
    try {
      const modelDir = await requireModel(context.modelsDir, name);
      const { stateDir, signal } = context;
      const model = await prepareModel({ modelDir, stateDir, signal });
      context.print(`${name} ${model.version}: ${model.classCount} classes`);
      await tryModel(model, context);
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      failed++;
      context.print(`${name} cannot be served: ${error.message}`);
    }
  }
  if (names.length === 0) for (const line of await describeOddFolders(context.modelsDir)) context.print(line);
  return failed;
}

/**
 * Runs a model on the repository's samples and prints its first answers.
 * @throws ModelError SOURCE_INVALID if it does not run, or its answers are not probabilities
 */
export async function tryModel(model: PreparedModel, context: CommandContext): Promise<void> {
  const { print } = context;
  const trial = await openTrial(model, print);
  try {
    const samples = await listSamples(context);
    if (samples.length === 0) {
      checkProbabilities(await trial.run(noise(model)), model);
      print('  there are no samples to try it on: look at its answers yourself');
    }
    for (const file of samples) {
      const values = await trial.run(await readSample(file, model.spec.input));
      checkProbabilities(values, model);
      if (values.length === 0) {
        print(`  ${path.basename(file)}: no labels; it gives ${listOutputs(model.outputs)}`);
        continue;
      }
      const order = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, SHOWN_LABELS);
      const shown = order.map((i) => `${model.labels[i]} ${((values[i] ?? 0) * 100).toFixed(1)} %`);
      print(`  ${path.basename(file)}: ${shown.join(', ')}`);
    }
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', `it does not run: ${(cause as Error).message}`, { cause });
  } finally {
    await trial.close();
  }
}

function noise({ spec: { input } }: PreparedModel): Uint8Array {
  return Uint8Array.from({ length: input.width * input.height * input.channels }, (_, i) => (i * 7919) % 256);
}

/** A model that is loaded for a trial; `run` takes one image's pixels. */
export interface Trial {
  run(pixels: Uint8Array): Promise<Float32Array>;
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
  return {
    run: (pixels) => runOne(session, pixels, model.spec),
    close: () => session.release(),
  };
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
  return {
    run: async (images) => (await loaded.run({ images, count: 1, wantHeatmaps: false })).probabilities,
    close: async () => undefined,
  };
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
    const reason = `no engine runs it: onnxruntime: ${onnxUnavailable}; wasm: ${cause.message}`;
    throw new ModelError('SOURCE_INVALID', reason, { cause });
  });
  return {
    run: async (images) => (await loaded.run({ images, count: 1, wantHeatmaps: false })).probabilities,
    close: async () => undefined,
  };
}

function checkProbabilities(values: Float32Array, model: PreparedModel): void {
  const expected = model.labels.length;
  if (values.length !== expected) {
    throw new ModelError('SOURCE_INVALID', `it answers with ${values.length} numbers for ${expected} labels`);
  }
  if (!values.every(Number.isFinite)) {
    throw new ModelError(
      'SOURCE_INVALID',
      'it answers with NaN or infinity: check the normalization, or whether its weights are damaged',
    );
  }
  if (!values.every((value) => value >= -1e-6 && value <= 1 + 1e-6)) {
    throw new ModelError(
      'SPEC_INVALID',
      `output.activation: ${model.spec.output.activation} gives numbers that are not probabilities; logits or logits-sigmoid may fit`,
    );
  }
}
