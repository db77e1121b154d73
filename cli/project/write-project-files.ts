import { cp, mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { listProjectFiles } from './new-project-files.ts';

export interface Written {
  /** Paths from the folder. */
  written: string[];
  /** Existing files, which are unchanged. */
  kept: string[];
}

/**
 * Writes a new project into a folder, and creates the folder if it is missing. Existing files are kept.
 * @param modelsDir the folder with the model that is copied
 */
export async function writeProject(dir: string, version: string, modelsDir: string): Promise<Written> {
  const found: Written = { written: [], kept: [] };
  for (const [path, text] of Object.entries(listProjectFiles({ name: toPackageName(basename(dir)), version }))) {
    const full = join(dir, path);
    await mkdir(dirname(full), { recursive: true });
    const isNew = await writeFile(full, text, { flag: 'wx' }).then(() => true, isExisting);
    (isNew ? found.written : found.kept).push(path);
  }
  const model = join(dir, 'models/resnet50');
  const isThere = await stat(model).then(
    () => true,
    () => false,
  );
  if (!isThere) await cp(join(modelsDir, 'resnet50'), model, { recursive: true });
  (isThere ? found.kept : found.written).push('models/resnet50');
  return found;
}

function isExisting(error: NodeJS.ErrnoException): false {
  if (error.code === 'EEXIST') return false;
  throw error;
}

/** A valid npm package name. */
export function toPackageName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return name || 'inferql-project';
}
