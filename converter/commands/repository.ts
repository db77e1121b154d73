import { rm } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readSpec } from '../spec.ts';
import { type Folders, listModels, requireModel } from './folders.ts';

/** Prints a line a model. */
export async function printModels({ modelsDir, print }: Folders): Promise<void> {
  for (const name of await listModels(modelsDir)) {
    try {
      const { spec } = await readSpec(path.join(modelsDir, name));
      const { source, input } = spec;
      const from = source.type === 'npm' ? `npm:${source.package}@${source.version}` : 'folder';
      const image = `${input.width}x${input.height}x${input.channels}`;
      print(`${name.padEnd(24)} ${spec.format.padEnd(12)} ${image.padEnd(12)} ${spec.precision.padEnd(8)} ${from}`);
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      print(`${name.padEnd(24)} ${error.message}`);
    }
  }
}

/** Removes a model from the repository, with what this machine keeps of it. */
export async function removeModel(name: string, { modelsDir, stateDir, print }: Folders): Promise<void> {
  const modelDir = await requireModel(modelsDir, name);
  await rm(modelDir, { recursive: true });
  await rm(path.join(stateDir, 'models', name), { recursive: true, force: true });
  print(`removed ${name}`);
}
