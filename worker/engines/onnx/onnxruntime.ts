import { dirname } from 'node:path';
import { discardFolder } from '@inferql/converter/files/folder-digests';
import { EngineLoadError, type EngineModel, type EngineOutput, type LoadedModel } from '../engine.ts';
import { type EngineOutputSpec, joinFloats, joinOutputArrays } from '../output-arrays.ts';
import { createOnnxSession, type OnnxFile, type OnnxSession } from './create-session.ts';
import { findOnnxFile } from './optimized-model.ts';
import { type SessionThread, startSessionPool } from './session-pool.ts';

/**
 * Runs the ONNX file that `converter/` wrote. Each thread runs its share of a batch in its own session, which takes a tenth less CPU
 * than all threads on each operator. Images that do not divide among the threads, above all a single one, run on all threads.
 * @throws EngineLoadError 'unsupported' if the model has no ONNX file, 'failed' if the file cannot be read.
 */
export async function loadOnnxruntime(model: EngineModel, limitMs: number): Promise<LoadedModel> {
  if (!model.onnx) throw new EngineLoadError('unsupported', 'the model has no ONNX file');
  const { together, sessions } = await loadSessions(model, await findOnnxFile(model.onnx.path, limitMs));
  const imageBytes = model.input.height * model.input.width * model.input.channels;

  return {
    hasHeatmaps: together.hasHeatmaps,
    async run({ images, count, wantHeatmaps }) {
      const share = sessions.length > 0 ? Math.floor(count / sessions.length) : 0;
      const take = (from: number, to: number) => ({
        images: images.subarray(from * imageBytes, to * imageBytes),
        count: to - from,
        wantHeatmaps,
      });
      const shares = share > 0 ? sessions.map((session, at) => session.run(take(at * share, (at + 1) * share))) : [];
      const outputs = await settleShares(shares);
      const done = share * sessions.length;
      if (done < count) outputs.push(await together.run(take(done, count)));
      return joinOutputs(outputs, model.outputs, count);
    },
  };
}

async function loadSessions(
  model: EngineModel,
  file: OnnxFile,
): Promise<{ together: OnnxSession; sessions: SessionThread[] }> {
  // Without the shared file each session would hold a copy of the weights.
  const sessionCount = file.isOptimized && model.threads > 1 ? model.threads : 0;
  try {
    // The first one shows whether the file can be read at all.
    const together = await createOnnxSession(model, file, model.threads);
    return { together, sessions: await startSessionPool(sessionCount, { model, file }) };
  } catch (error) {
    if (!file.isOptimized) {
      throw new EngineLoadError('failed', `onnxruntime cannot load the model: ${String(error)}`, error);
    }
    // The next start writes it again.
    await discardFolder(dirname(file.path));
    return loadSessions(model, { path: model.onnx!.path, isOptimized: false });
  }
}

/** Every session has finished before the next batch begins, even if one of them failed. */
async function settleShares(shares: Promise<EngineOutput>[]): Promise<EngineOutput[]> {
  await Promise.allSettled(shares);
  return Promise.all(shares);
}

function joinOutputs(outputs: EngineOutput[], specs: EngineOutputSpec[] | undefined, count: number): EngineOutput {
  const [first] = outputs;
  if (outputs.length === 1) return first!;
  const probabilities = joinFloats(outputs.map((output) => output.probabilities));
  const parts = outputs.map((output) => output.outputs);
  const named = specs && { outputs: joinOutputArrays(specs, parts, count) };
  if (!first!.maps) return { probabilities, ...named };
  return {
    probabilities,
    ...named,
    maps: { ...first!.maps, values: joinFloats(outputs.map(({ maps }) => maps!.values)) },
  };
}
