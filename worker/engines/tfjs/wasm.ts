import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { EngineModel, EngineOutput, LoadedModel } from '../engine.ts';
import { loadTfjsModel, sizesOfAnswer } from './tfjs-model.ts';

const require = createRequire(import.meta.url);

/**
 * Runs a tfjs model in WebAssembly, wherever Node runs. A model with an op that the wasm backend lacks runs in plain JavaScript,
 * which has them all.
 */
export async function loadWasm(model: EngineModel): Promise<LoadedModel> {
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  await startBackend('wasm');
  const loaded = await loadTfjsModel(model);
  try {
    await tryOut(loaded, model);
    return loaded;
  } catch (error) {
    if (!IS_MISSING.test(String(error))) throw error;
    console.log(`wasm backend not available (${String(error)}); using plain JavaScript`);
  }
  await startBackend('cpu');
  return loadTfjsModel(model);
}

/**
 * The sizes of what a model returns for one image, for models that only tfjs can read.
 * @throws if tfjs cannot run it
 */
export async function answerSizes(
  tfjs: NonNullable<EngineModel['tfjs']>,
  input: EngineModel['input'],
): Promise<number[]> {
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  await startBackend('wasm');
  try {
    return await sizesOfAnswer(tfjs, input);
  } catch (error) {
    if (!IS_MISSING.test(String(error))) throw error;
  }
  await startBackend('cpu');
  return sizesOfAnswer(tfjs, input);
}

/** The backend's message about an op that it lacks. */
const IS_MISSING = /not registered|not implemented|not yet (been )?(implemented|supported)/i;

async function startBackend(name: string): Promise<void> {
  if (!(await tf.setBackend(name))) throw new Error(`tfjs' backend ${name} could not be started`);
  await tf.ready();
}

function tryOut(loaded: LoadedModel, { input }: EngineModel): Promise<EngineOutput> {
  const images = new Uint8Array(input.width * input.height * input.channels).fill(128);
  return loaded.run({ images, count: 1, wantHeatmaps: false });
}
