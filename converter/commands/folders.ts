import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { MODEL_NAME, SPEC_FILE } from '../spec.ts';

/** Where the commands work. */
export interface Folders {
  modelsDir: string;
  stateDir: string;
  signal: AbortSignal;
  /** For a line that people read. */
  print: (line: string) => void;
}

/** The names of the repository's models, in order. */
export async function listModels(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true });
  const names: string[] = [];
  for (const entry of entries) {
    // Names that begin with a dot are being added or replaced.
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    const spec = path.join(modelsDir, entry.name, SPEC_FILE);
    const found = await stat(spec).catch(() => undefined);
    if (found) names.push(entry.name);
  }
  return names.sort();
}

/** @throws ModelError SPEC_INVALID for a name that is no model's */
export async function requireModel(modelsDir: string, name: string): Promise<string> {
  const names = await listModels(modelsDir);
  if (MODEL_NAME.test(name) && names.includes(name)) return path.join(modelsDir, name);
  throw new ModelError('SPEC_INVALID', `no model ${name} in ${modelsDir}; there are: ${names.join(', ') || 'none'}`);
}

const IMAGE_FILE = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;

/** The photographs of a folder, in order. */
export async function listImages(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new ModelError('SOURCE_INVALID', `${folder} cannot be read`, { cause });
  });
  return names
    .filter((name) => IMAGE_FILE.test(name))
    .sort()
    .map((name) => path.join(folder, name));
}
