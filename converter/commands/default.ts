import { readDefaultModel, writeDefaultModel } from '../repository/default-model.ts';
import { type CommandContext, listModels, requireModel } from './command-context.ts';

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
      : `the default model is still ${chosen}: \`npx inferql models default ${added}\` changes that`,
  );
}
