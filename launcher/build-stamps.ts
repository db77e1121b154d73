/** A stamp identifies the inputs of a build. It is written last and removed first, so that an interrupted build is repeated. */
import { createHash } from 'node:crypto';
import {
  type Dirent,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

/** @returns the digest, or undefined if there is no stamp */
export function readStamp(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Replaces the stamp in one step. */
export function writeStamp(path: string, digest: string): void {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, digest);
  renameSync(unfinished, path);
}

export function removeStamp(path: string): void {
  rmSync(path, { force: true });
}

/**
 * The digest of files' contents and of further texts. A file that is missing or cannot be read counts as such, not as an error: what
 * needs it reports it better. Times do not count: a checkout of another branch and back changes nothing.
 * @param paths relative to `dir`
 */
export function digestFiles(dir: string, paths: readonly string[], ...more: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    hash.update(`${path}\0`);
    hash.update(readContent(join(dir, path)));
    hash.update('\0');
  }
  for (const text of more) hash.update(`${text}\0`);
  return hash.digest('hex');
}

function readContent(path: string): Buffer | string {
  try {
    return readFileSync(path);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unreadable';
  }
}

/**
 * Files under some folders of `dir`, sorted, by paths relative to it, for which `isWanted(path)` holds. Links are followed. What is
 * not a file is left out: devices, pipes, and links that lead nowhere or back to a folder that contains them.
 */
export function listFiles(
  dir: string,
  folders: readonly string[],
  isWanted: (path: string) => boolean = () => true,
): string[] {
  const found: string[] = [];
  /** @param outer the folders with the links that led here */
  const walk = (folder: string, outer: readonly string[]) => {
    for (const entry of readEntries(folder)) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
      const full = join(folder, entry.name);
      const target = entry.isSymbolicLink() ? findTarget(full) : entry;
      if (target?.isFile() && isWanted(full)) found.push(relative(dir, full));
      if (!target?.isDirectory()) continue;
      const links = entry.isSymbolicLink() ? [...outer, realpathSync(folder)] : outer;
      if (!entry.isSymbolicLink() || !leadsBack(full, links)) walk(full, links);
    }
  };
  for (const folder of folders) walk(resolve(dir, folder), []);
  return found.sort();
}

/** None if it is missing or cannot be read. */
function readEntries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function findTarget(link: string): Stats | undefined {
  try {
    return statSync(link);
  } catch {
    return undefined;
  }
}

/** Whether a linked folder contains one of the others, so that following the link would never end. */
function leadsBack(link: string, folders: readonly string[]): boolean {
  const target = realpathSync(link);
  const prefix = target.endsWith(sep) ? target : `${target}${sep}`;
  return folders.some((folder) => folder === target || folder.startsWith(prefix));
}

/** Identifies the installed packages: what is built with them is built again when they change. */
export function digestPackages(dir: string): string {
  return digestFiles(dir, ['package-lock.json', '.npmrc'], process.platform, process.arch);
}
