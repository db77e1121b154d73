import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelDefinition } from './options.ts';

/**
 * Writes definitions as folders of models, for the code that reads those. Another process with the same definitions writes the same files.
 * @returns the folders, in the order of the list; paths of folders are returned as they are
 */
export async function writeDefinitions(
  models: readonly (string | ModelDefinition)[],
  stateDir: string,
): Promise<string[]> {
  return Promise.all(models.map((model) => (typeof model === 'string' ? model : writeDefinition(model, stateDir))));
}

async function writeDefinition({ name, labels, ...spec }: ModelDefinition, stateDir: string): Promise<string> {
  const folder = join(stateDir, 'defined-models', name);
  await mkdir(folder, { recursive: true });
  if (labels) await replaceFile(join(folder, 'labels.json'), JSON.stringify(labels));
  await replaceFile(join(folder, 'model.json5'), JSON.stringify(spec, null, 2));
  return folder;
}

/** A reader sees the old content or the new. */
async function replaceFile(path: string, content: string): Promise<void> {
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, content);
  await rename(unfinished, path);
}
