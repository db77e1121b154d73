/** The models of the repository, as the worker sees them. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { normalizationOf } from '../models/normalization.ts';
import { type PreparedModel, prepareModel } from '../models/prepare.ts';
import { SPEC_FILE } from '../models/spec.ts';
import { ModelName } from '../queue/contract.ts';
import { transpose } from './postprocess.ts';
import type { EngineCandidate, ServableModel } from './servable.ts';

/** Names of the folders of `modelsDir` that hold a spec, sorted; none where the folder is missing. */
export async function listModelNames(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true }).catch(() => []);
  const names: string[] = [];
  for (const entry of entries) {
    if (!ModelName.safeParse(entry.name).success) continue;
    const spec = await stat(join(modelsDir, entry.name, SPEC_FILE)).catch(() => undefined);
    if (spec?.isFile()) names.push(entry.name);
  }
  return names.sort();
}

/**
 * Pulls and converts a model where that has not been done yet.
 * @throws ModelError
 */
export async function loadRepositoryModel(
  name: string,
  dirs: { modelsDir: string; stateDir: string },
): Promise<ServableModel> {
  const prepared = await prepareModel({ modelDir: join(dirs.modelsDir, name), stateDir: dirs.stateDir });
  const { version, spec, labels, classCount, cam } = prepared;
  const { normalization: _, ...input } = spec.input;
  const { candidates, ruledOut } = nameCandidates(prepared);
  return {
    name,
    version,
    description: spec.description ?? '',
    precision: spec.precision,
    input,
    classCount,
    labels,
    heatmap: 'unavailable' in cam ? { available: false, reason: cam.unavailable } : { available: true },
    loadKernel: 'unavailable' in cam ? undefined : once(() => readKernel(cam)),
    batching: spec.batching,
    queue: spec.queue,
    candidates,
    ruledOut,
  };
}

/** Engines by their speed (docs say what was measured); a spec may name one. */
function nameCandidates(prepared: PreparedModel): { candidates: EngineCandidate[]; ruledOut: string[] } {
  const { spec, onnxPath, onnxUnavailable, tfjsPath, cam } = prepared;
  const candidates: EngineCandidate[] = [];
  const ruledOut: string[] = [];
  const why = (engine: string, autoReason: string) => (spec.engine === engine ? 'The spec names it.' : autoReason);
  if (spec.engine === 'auto' || spec.engine === 'onnxruntime') {
    const featuresOutput = 'unavailable' in cam ? undefined : cam.featuresOutput;
    if (onnxPath === undefined) ruledOut.push(`onnxruntime: ${onnxUnavailable?.replace(/\.?$/, '.')}`);
    else {
      const onnx = featuresOutput === undefined ? { path: onnxPath } : { path: onnxPath, featuresOutput };
      candidates.push({ engine: 'onnxruntime', reason: why('onnxruntime', 'The fastest engine.'), model: { onnx } });
    }
  }
  if (tfjsPath === undefined || spec.format === 'onnx' || spec.precision !== 'float32') return { candidates, ruledOut };
  const tfjs = {
    path: tfjsPath,
    format: spec.format,
    normalization: normalizationOf(spec.input),
    activation: spec.output.activation,
  };
  const others = [
    ['tensorflow', 'The fastest engine that is installed here and can run it.'],
    ['wasm', 'It runs everything, everywhere.'],
  ] as const;
  for (const [engine, reason] of others) {
    if (spec.engine === 'auto' || spec.engine === engine) {
      candidates.push({ engine, reason: why(engine, reason), model: { tfjs } });
    }
  }
  return { candidates, ruledOut };
}

async function readKernel(cam: { kernelPath: string; channels: number; classes: number }): Promise<Float32Array> {
  const bytes = await readFile(cam.kernelPath);
  const values = new Float32Array(cam.channels * cam.classes);
  if (bytes.length !== values.byteLength) throw new Error(`${cam.kernelPath} has not the size that it should have`);
  new Uint8Array(values.buffer).set(bytes);
  return transpose(values, cam.channels, cam.classes);
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
