import { rm } from 'node:fs/promises';
import path from 'node:path';
import { readDefaultModel, writeDefaultModel } from '../repository/default-model.ts';
import { type CommandContext, listModels, requireModel } from './command-context.ts';

/** Removes a model from the repository, with what this machine keeps of it. */
export async function removeModel(name: string, { modelsDir, stateDir, print }: CommandContext): Promise<void> {
  const modelDir = await requireModel(modelsDir, name);
  await rm(modelDir, { recursive: true });
  await rm(path.join(stateDir, 'models', name), { recursive: true, force: true });
  print(`removed ${name}`);
  const [first] = await listModels(modelsDir);
  if (first !== undefined && (await readDefaultModel(modelsDir)) === name) {
    await writeDefaultModel(modelsDir, first);
    print(`the default model is now ${first}`);
  }
}
