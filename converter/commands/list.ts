import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readDefaultModel } from '../repository/default-model.ts';
import { describeOddFolders } from '../repository/unserved-folders.ts';
import { readSpec } from '../spec/spec-file.ts';
import { type CommandContext, listModels } from './command-context.ts';

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
