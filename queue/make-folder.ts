import { existsSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Creates a folder and those above it, if they are missing.
 * @param mode of the folders that are created
 * @throws the error of the system, with `code` and `syscall`
 */
export function makeFolder(path: string, mode = 0o777): void {
  const missing = findFirstMissing(resolve(path));
  // Node's recursive mkdir never ends if the folder above is there and says ENOENT, as /proc does.
  if (missing !== undefined) makeOne(missing, mode);
  mkdirSync(path, { recursive: true, mode });
}

function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Another process has created it meanwhile, unless it is a link to nothing.
    if (existsSync(path)) return;
    throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), {
      code: 'ENOTDIR',
      syscall: 'mkdir',
      path,
    });
  }
}

/** The highest folder of a path that is missing, if there is one. */
function findFirstMissing(path: string): string | undefined {
  const above = dirname(path);
  // A drive may be missing, too.
  if (existsSync(path) || above === path) return undefined;
  return findFirstMissing(above) ?? path;
}
