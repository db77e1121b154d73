import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
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
  const labelsFile = join(folder, 'labels.json');
  makeFolder(folder);
  if (labels) {
    await replaceFile(labelsFile, JSON.stringify(labels));
    // A spec that names a file in the package is served with that file's names.
    const { labels: _, ...source } = spec.source;
    await replaceFile(join(folder, 'model.json5'), JSON.stringify({ ...spec, source }, null, 2));
  } else {
    await replaceFile(join(folder, 'model.json5'), JSON.stringify(spec, null, 2));
    // Of an earlier definition.
    await rm(labelsFile, { force: true });
  }
  return folder;
}

/** A reader sees the old content or the new. */
async function replaceFile(path: string, content: string): Promise<void> {
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, content);
  await rename(unfinished, path);
}
