import { cp, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { completeManifest, printManifest } from './manifest.ts';
import { listProjectFiles, type ProjectOptions } from './new-project-files.ts';

export interface Written {
  /** Paths from the folder. */
  written: string[];
  /** Existing files, which are unchanged. */
  kept: string[];
  /** What was added to an existing package.json, such as `scripts.start`. */
  added: string[];
  /** The command that starts the project after `npm install`. */
  start: string;
}

/**
 * Writes a new project into a folder, and creates the folder if it is missing. Existing files are kept; only an existing package.json gets
 * the scripts and packages that it lacks.
 * @param modelsDir the folder with the model that is copied
 */
export async function writeProject(dir: string, version: string, modelsDir: string): Promise<Written> {
  const options = { name: toPackageName(basename(dir)), version };
  const found: Written = { written: [], kept: [], added: [], start: 'npm start' };
  makeFolder(dir);
  for (const [path, text] of Object.entries(listProjectFiles(options))) {
    // The other packages of an existing project may need their install scripts.
    if (path === '.npmrc' && !found.written.includes('package.json')) continue;
    const full = join(dir, path);
    makeFolder(dirname(full));
    const isNew = await writeFile(full, text, { flag: 'wx' }).then(() => true, isExisting);
    if (!isNew && path === 'package.json') Object.assign(found, await addToManifest(full, options));
    if (isNew) found.written.push(path);
    else if (path !== 'package.json' || found.added.length === 0) found.kept.push(path);
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

async function addToManifest(path: string, options: ProjectOptions): Promise<Pick<Written, 'added' | 'start'>> {
  const completed = completeManifest(await readFile(path, 'utf8'), options);
  if (completed.added.length > 0) await writeFile(path, printManifest(completed.manifest));
  return completed;
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
