import os from 'node:os';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { ModelError } from '../errors.ts';
import { type PreparedModel, prepareModel } from '../prepare.ts';
import { readSample } from '../sample.ts';
import { type Folders, listImages, listModels, requireModel } from './folders.ts';

const SHOWN_LABELS = 3;

/**
 * Prepares models and runs each on the samples.
 * @returns how many of them cannot be served
 */
export async function checkModels(names: readonly string[], folders: Folders): Promise<number> {
  let failed = 0;
  for (const name of names.length > 0 ? names : await listModels(folders.modelsDir)) {
    try {
      const modelDir = await requireModel(folders.modelsDir, name);
      const { stateDir, signal } = folders;
      const model = await prepareModel({ modelDir, stateDir, signal });
      folders.print(`${name} ${model.version}: ${model.classCount} classes`);
      await tryModel(model, folders);
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      failed++;
      folders.print(`${name} cannot be served: ${error.message}`);
    }
  }
  return failed;
}

/**
 * Runs a model on the repository's samples and prints its first answers.
 * @throws ModelError SOURCE_INVALID where it does not run, or answers with what are no probabilities
 */
export async function tryModel(model: PreparedModel, { modelsDir, print }: Folders): Promise<void> {
  if (model.onnxPath === undefined) {
    print(`  not for onnxruntime: ${model.onnxUnavailable}; the tensorflow or wasm engine runs it`);
    return;
  }
  const { width, height, channels } = model.spec.input;
  let session: ort.InferenceSession;
  try {
    const options = { intraOpNumThreads: os.availableParallelism(), logSeverityLevel: 3 } as const;
    session = await ort.InferenceSession.create(model.onnxPath, options);
  } catch (cause) {
    throw new ModelError('SOURCE_INVALID', `onnxruntime cannot load it: ${(cause as Error).message}`, { cause });
  }
  try {
    for (const file of await listImages(path.join(modelsDir, 'samples')).catch(() => [])) {
      const pixels = await readSample(file, model.spec.input);
      const image = new ort.Tensor('uint8', pixels, [1, height, width, channels]);
      const { probabilities } = await session.run({ image }, ['probabilities']);
      const values = probabilities?.data as Float32Array;
      checkProbabilities(values, model);
      const order = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, SHOWN_LABELS);
      const shown = order.map((i) => `${model.labels[i]} ${((values[i] ?? 0) * 100).toFixed(1)} %`);
      print(`  ${path.basename(file)}: ${shown.join(', ')}`);
    }
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', `it does not run: ${(cause as Error).message}`, { cause });
  } finally {
    await session.release();
  }
}

function checkProbabilities(values: Float32Array, model: PreparedModel): void {
  const expected = model.labels.length;
  if (values.length !== expected) {
    throw new ModelError('SOURCE_INVALID', `it answers with ${values.length} numbers for ${expected} labels`);
  }
  if (!values.every((value) => value >= -1e-6 && value <= 1 + 1e-6)) {
    throw new ModelError(
      'SPEC_INVALID',
      `output.activation: ${model.spec.output.activation} gives numbers that are no probabilities; logits or logits-sigmoid may fit`,
    );
  }
}
