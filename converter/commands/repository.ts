import { rm } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readDefaultModel, writeDefaultModel } from '../repository/default-model.ts';
import { describeOddFolders } from '../repository/unserved-folders.ts';
import { readSpec } from '../spec/spec-file.ts';
import { type CommandContext, listModels, requireModel } from './command-context.ts';

/** Prints one line per model, and why other folders are not models. */
export async function printModels({ modelsDir, print }: CommandContext): Promise<void> {
  const chosen = await readDefaultModel(modelsDir);
  for (const name of await listModels(modelsDir)) {
    try {
      const { spec } = await readSpec(path.join(modelsDir, name));
      const { source, input } = spec;
      const from = source.type === 'npm' ? `npm:${source.package}@${source.version}` : 'folder';
      const image = `${input.width}x${input.height}x${input.channels}`;
      print(
        `${name.padEnd(24)} ${spec.format.padEnd(12)} ${image.padEnd(12)} ${spec.precision.padEnd(8)} ${from}${name === chosen ? '  (default)' : ''}`,
      );
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      print(`${name.padEnd(24)} ${error.message}`);
    }
  }
  for (const line of await describeOddFolders(modelsDir)) print(line);
}

/**
 * Makes a model the default for requests that do not name one.
 * @throws ModelError SPEC_INVALID if there is no such model
 */
export async function chooseDefault(name: string | undefined, { modelsDir, print }: CommandContext): Promise<void> {
  if (name === undefined) {
    const chosen = await readDefaultModel(modelsDir);
    print(chosen === undefined ? 'no default model is set: the first served model is used' : chosen);
    return;
  }
  await requireModel(modelsDir, name);
  await writeDefaultModel(modelsDir, name);
  print(`the default model is now ${name}`);
}

/** A model that is added does not become the default one, unless it is the first. */
export async function keepDefault(added: string, { modelsDir, print }: CommandContext): Promise<void> {
  const others = (await listModels(modelsDir)).filter((name) => name !== added);
  const chosen = (await readDefaultModel(modelsDir)) ?? others[0] ?? added;
  await writeDefaultModel(modelsDir, chosen);
  print(
    chosen === added
      ? `${added} is the default model`
      : `the default model is still ${chosen}: \`npm run models -- default ${added}\` changes that`,
  );
}

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
