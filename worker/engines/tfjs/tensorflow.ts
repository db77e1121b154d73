import util from 'node:util';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';

/**
 * Runs a tfjs model on TensorFlow's kernels with @tensorflow/tfjs-node, an optional package.
 * @throws EngineLoadError 'notInstalled' if the package or its native part is missing
 */
export async function loadTensorflow(model: EngineModel): Promise<LoadedModel> {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  process.env.TF_NUM_INTRAOP_THREADS = String(model.threads);
  process.env.TF_NUM_INTEROP_THREADS = '1';
  // tfjs-node calls this function, which Node 23 removed.
  const old = util as { isNullOrUndefined?: (value: unknown) => boolean };
  old.isNullOrUndefined ??= (value) => value === null || value === undefined;
  try {
    // Importing it sets the backend of @tensorflow/tfjs.
    await import('@tensorflow/tfjs-node');
  } catch (error) {
    const why = '@tensorflow/tfjs-node is not installed, or its native part was not built';
    throw new EngineLoadError('notInstalled', why, error);
  }
  const { loadTfjsModel } = await import('./tfjs-model.ts');
  return loadTfjsModel(model);
}
