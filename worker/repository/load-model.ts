/** Loads models of the repository for the worker: downloads, converts and describes them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Convert } from '@inferql/converter/conversion-process/conversion';
import { prepareModel } from '@inferql/converter/prepared-model';
import { type PreparedOutput, taskOf } from '@inferql/converter/spec/output-spec';
import { findModelFile } from '@inferql/converter/spec/spec-file';
import { ModelName } from '@inferql/queue/contract';
import type { ModelOutput } from '@inferql/queue/outputs';
import type { ServableModel } from '../serving/servable-model.ts';
import { findCandidates } from './engine-candidates.ts';

/**
 * Names of the folders of `modelsDir` that contain a spec or code that declares a model, sorted; none if the folder is missing.
 * @throws if `modelsDir` cannot be read
 */
export async function listModelNames(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const names: string[] = [];
  for (const entry of entries) {
    if (!ModelName.safeParse(entry.name).success) continue;
    if ((await findModelFile(join(modelsDir, entry.name))) !== undefined) names.push(entry.name);
  }
  return names.sort();
}

/**
 * Downloads and converts a model, unless that has been done already.
 * @throws ModelError, CANCELED if `signal` was aborted
 */
export async function loadRepositoryModel(
  name: string,
  { modelsDir, stateDir, convert }: { modelsDir: string; stateDir: string; convert?: Convert | undefined },
  signal?: AbortSignal,
): Promise<ServableModel> {
  const prepared = await prepareModel({
    modelDir: join(modelsDir, name),
    stateDir,
    convert,
    ...(signal && { signal }),
  });
  const { version, spec, labels, classCount, cam, outputs } = prepared;
  const { normalization: _, layout: __, ...input } = spec.input;
  const { candidates, ruledOut } = findCandidates(prepared);
  return {
    name,
    version,
    description: spec.description ?? '',
    precision: spec.precision,
    input,
    classCount,
    task: taskOf(prepared.spec.output, prepared.labels.length),
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

/** What workers register of an output: neither its names, nor where it is in the model's file. */
function toDeclared({ labels: _, activation: __, from: ___, ...output }: PreparedOutput): ModelOutput {
  return output;
}

function headLabelsOf(outputs: readonly PreparedOutput[]): Record<string, readonly string[]> {
  return Object.fromEntries(outputs.flatMap(({ name, labels }) => (labels ? [[name, labels]] : [])));
}
