/** The models of the repository, as the worker sees them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { normalizationOf } from '@inferql/converter/normalization';
import type { PreparedOutput } from '@inferql/converter/output-spec';
import { type PreparedModel, prepareModel } from '@inferql/converter/prepared-model';
import { findModelFile } from '@inferql/converter/spec-file';
import { ModelName, STORED_LABELS } from '@inferql/queue/contract';
import type { ModelOutput } from '@inferql/queue/outputs';
import { toEngineOutput } from '../engines/output-arrays.ts';
import type { EngineCandidate, ServableModel } from '../serving/servable.ts';

/** How long a model's postprocessing may take per image if its spec does not say. */
const POSTPROCESS_LIMIT_MS = 1_000;

/** Names of the folders of `modelsDir` that contain a spec or code that declares a model, sorted; none if the folder is missing. */
export async function listModelNames(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true }).catch(() => []);
  const names: string[] = [];
  for (const entry of entries) {
    if (!ModelName.safeParse(entry.name).success) continue;
    if ((await findModelFile(join(modelsDir, entry.name))) !== undefined) names.push(entry.name);
  }
  return names.sort();
}

/**
 * Pulls and converts a model unless that has been done.
 * @throws ModelError
 */
export async function loadRepositoryModel(
  name: string,
  dirs: { modelsDir: string; stateDir: string },
): Promise<ServableModel> {
  const prepared = await prepareModel({ modelDir: join(dirs.modelsDir, name), stateDir: dirs.stateDir });
  const { version, spec, labels, classCount, cam, outputs } = prepared;
  const { normalization: _, layout: __, ...input } = spec.input;
  const { candidates, ruledOut } = nameCandidates(prepared);
  return {
    name,
    version,
    description: spec.description ?? '',
    precision: spec.precision,
    input,
    classCount,
    task: taskOf(prepared),
    ...(spec.output.threshold === undefined ? {} : { threshold: spec.output.threshold }),
    ...(outputs.length === 0 ? {} : { outputs: outputs.map(toDeclared), headLabels: headLabelsOf(outputs) }),
    labels,
    heatmap: 'unavailable' in cam ? { available: false, reason: cam.unavailable } : { available: true },
    batching: spec.batching,
    queue: spec.queue,
    candidates,
    ruledOut,
  };
}

/** A sigmoid per class allows several classes per image; a single one distinguishes two classes. */
function taskOf({ spec, labels }: PreparedModel): NonNullable<ServableModel['task']> {
  if (spec.output.task !== undefined) return spec.output.task;
  const isMulti = spec.output.activation.endsWith('sigmoid') && labels.length > 2;
  return isMulti ? 'multi-label' : 'single-label';
}

/** What workers register of an output: neither its names, nor where it is in the model's file. */
function toDeclared({ labels: _, activation: __, from: ___, ...output }: PreparedOutput): ModelOutput {
  return output;
}

function headLabelsOf(outputs: readonly PreparedOutput[]): Record<string, readonly string[]> {
  return Object.fromEntries(outputs.flatMap(({ name, labels }) => (labels ? [[name, labels]] : [])));
}

/** Engines, the fastest first; a spec may name one. */
function nameCandidates(prepared: PreparedModel): { candidates: EngineCandidate[]; ruledOut: string[] } {
  const { spec, labels, onnxPath, onnxUnavailable, tfjsPath, modulePath, postprocessPath, cam } = prepared;
  const candidates: EngineCandidate[] = [];
  const ruledOut: string[] = [];
  const heatmap =
    'unavailable' in cam
      ? {}
      : { heatmap: { featuresOutput: cam.featuresOutput, kernelPath: cam.kernelPath, labels: STORED_LABELS } };
  const why = (engine: string, autoReason: string) => (spec.engine === engine ? 'The spec names it.' : autoReason);
  const timeLimitMs = spec.postprocessTimeLimitMs ?? POSTPROCESS_LIMIT_MS;
  const code = postprocessPath === undefined ? {} : { postprocess: { path: postprocessPath, labels, timeLimitMs } };
  const outputs = prepared.outputs.length === 0 ? {} : { outputs: prepared.outputs.map(toEngineOutput) };
  const shared = { ...code, ...outputs };
  if (modulePath !== undefined) {
    const model = { module: { path: modulePath, labels }, ...shared };
    return { candidates: [{ engine: 'module', reason: 'The spec names it.', model }], ruledOut };
  }
  if (spec.engine === 'auto' || spec.engine === 'onnxruntime') {
    if (onnxPath === undefined) ruledOut.push(`onnxruntime: ${onnxUnavailable?.replace(/\.?$/, '.')}`);
    else {
      const model = { onnx: { path: onnxPath }, ...heatmap, ...shared };
      candidates.push({ engine: 'onnxruntime', reason: why('onnxruntime', 'The fastest engine.'), model });
    }
  }
  if (tfjsPath === undefined || spec.format === 'onnx' || spec.format === 'module' || spec.precision !== 'float32')
    return { candidates, ruledOut };
  const tfjs = {
    path: tfjsPath,
    format: spec.format,
    normalization: normalizationOf(spec.input),
    activation: spec.output.activation,
    ...(spec.output.name === undefined ? {} : { outputName: spec.output.name }),
  };
  const others = [
    ['tensorflow', 'The fastest engine that is installed here and can run it.'],
    ['wasm', 'It runs everything, everywhere.'],
  ] as const;
  for (const [engine, reason] of others) {
    if (spec.engine === 'auto' || spec.engine === engine) {
      candidates.push({ engine, reason: why(engine, reason), model: { tfjs, ...heatmap, ...shared } });
    }
  }
  return { candidates, ruledOut };
}
