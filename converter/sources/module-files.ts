/** The files of a model with user code. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';

/** A folder with more files is not a model's. */
const MAX_MODULE_FILES = 1_000;

/**
 * Lists all files of a model with user code, since the code may read any of them, except packages and names that begin with a dot.
 * @returns paths relative to the folder, with forward slashes, sorted
 * @throws ModelError SOURCE_INVALID if there are too many
 */
export async function listModuleFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .filter((name) => !/(^|\/)(node_modules|\.[^/]*)(\/|$)/.test(name));
  if (files.length > MAX_MODULE_FILES) {
    throw new ModelError('SOURCE_INVALID', `${folder} has ${files.length} files, more than ${MAX_MODULE_FILES}`);
  }
  return files.sort();
}
