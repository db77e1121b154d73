import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { MODEL_NAME } from '@inferql/queue/contract';
import { ModelError } from '../errors.ts';
import type { Ask } from '../inspect/questions.ts';
import type { ModelRunner } from '../model-process/model-runner.ts';
import { findModelFile } from '../spec/spec-file.ts';

/** The folders of the commands. */
export interface CommandContext {
  modelsDir: string;
  stateDir: string;
  /** Images to try models on if the models' folder has no `samples`. */
  samplesDir?: string | undefined;
  signal: AbortSignal;
  /** Runs models. */
  runner: ModelRunner;
  /** Asks the user at the terminal; absent if there is none. */
  ask?: Ask | undefined;
  /** For a line that people read. */
  print: (line: string) => void;
}

/**
 * The names of the repository's models, in order.
 * @throws ModelError SPEC_INVALID if there is no such folder
 */
export async function listModels(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir).catch((cause: unknown) => {
    throw new ModelError('SPEC_INVALID', `${modelsDir}: expected a folder of models (--models-dir)`, { cause });
  });
  const names: string[] = [];
  for (const name of entries) {
    // Folders whose names begin with a dot are being added or replaced. A folder may be a link, as for the worker.
    if (!MODEL_NAME.test(name)) continue;
    if ((await findModelFile(path.join(modelsDir, name))) !== undefined) names.push(name);
  }
  return names.sort();
}

/** @throws ModelError ARGUMENT_INVALID if there is no model of that name */
export async function requireModel(modelsDir: string, name: string): Promise<string> {
  const names = await listModels(modelsDir);
  if (MODEL_NAME.test(name) && names.includes(name)) return path.join(modelsDir, name);
  throw new ModelError(
    'ARGUMENT_INVALID',
    `no model ${name} in ${modelsDir}; available: ${names.join(', ') || 'none'}`,
  );
}

const IMAGE_FILE = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;

/** The images of a folder, in order. */
export async function listImages(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new ModelError('SOURCE_INVALID', `${folder} cannot be read`, { cause });
  });
  return names
    .filter((name) => IMAGE_FILE.test(name))
    .sort()
    .map((name) => path.join(folder, name));
}

/** Images to try a model on: the repository's, else the project's; empty if there are none. */
export async function listSamples({ modelsDir, samplesDir }: CommandContext): Promise<string[]> {
  const own = await listImages(path.join(modelsDir, 'samples')).catch(() => []);
  if (own.length > 0 || samplesDir === undefined) return own;
  return listImages(samplesDir).catch(() => []);
}
