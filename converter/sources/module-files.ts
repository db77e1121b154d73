/** The files of a model with user code. */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';

/** A folder with more files is not a model's. */
const MAX_MODULE_FILES = 1_000;

/**
 * Lists all files of a model with user code, since the code may read any of them, except packages and names that begin with a dot.
 * Links to files count, those to folders do not: they may lead anywhere, or back.
 * @returns paths relative to the folder, with forward slashes, sorted
 * @throws ModelError SOURCE_INVALID if there are too many
 */
export async function listModuleFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: string[] = [];
  for (const entry of entries) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file).split(path.sep).join('/');
    if (!/(^|\/)(node_modules|\.[^/]*)(\/|$)/.test(name) && (await isFile(entry, file))) files.push(name);
  }
  if (files.length > MAX_MODULE_FILES) {
    throw new ModelError('SOURCE_INVALID', `${folder} has ${files.length} files, more than ${MAX_MODULE_FILES}`);
  }
  return files.sort();
}

async function isFile(entry: Dirent, file: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  return (await stat(file).catch(() => undefined))?.isFile() === true;
}
