import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';

/** A folder with more files is not a model's, but perhaps a home folder or a disk. */
const MAX_FILES = 10_000;

/**
 * The files in a folder, at any depth. Links to folders are not followed: they may lead anywhere, or back.
 * @throws ModelError SOURCE_INVALID
 */
export async function listFolder(folder: string): Promise<string[]> {
  const names: string[] = [];
  const waiting = [''];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const entries = await readdir(path.join(folder, at), { withFileTypes: true }).catch((cause: unknown) => {
      throw new ModelError('SOURCE_INVALID', `${path.join(folder, at ?? '')} cannot be read`, { cause });
    });
    for (const entry of entries) {
      // What macOS writes next to files on other disks and in archives.
      if (entry.name === '__MACOSX' || entry.name.startsWith('._')) continue;
      (entry.isDirectory() ? waiting : names).push(path.join(at, entry.name));
    }
    if (names.length + waiting.length > MAX_FILES) {
      throw new ModelError('SOURCE_INVALID', `${folder} holds over ${MAX_FILES} files: give the path of the model`);
    }
  }
  return names;
}
