/** A stamp identifies the inputs of a build. It is written last and removed first, so that an interrupted build is repeated. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

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
 * The digest of files' contents and of further texts. A missing file counts as missing, not as an error. Times do not count: a checkout
 * of another branch and back changes nothing.
 * @param paths relative to `dir`
 */
export function digestFiles(dir: string, paths: readonly string[], ...more: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    const full = join(dir, path);
    hash.update(`${path}\0`);
    hash.update(existsSync(full) ? readFileSync(full) : 'missing');
    hash.update('\0');
  }
  for (const text of more) hash.update(`${text}\0`);
  return hash.digest('hex');
}

/** Files under some folders of `dir`, sorted, by paths relative to it, for which `isWanted(path)` holds. */
export function listFiles(
  dir: string,
  folders: readonly string[],
  isWanted: (path: string) => boolean = () => true,
): string[] {
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
      const full = join(folder, entry.name);
      if (entry.isDirectory()) walk(full);
      else if (isWanted(full)) found.push(relative(dir, full));
    }
  };
  for (const folder of folders.map((name) => resolve(dir, name))) if (existsSync(folder)) walk(folder);
  return found.sort();
}

/** Identifies the installed packages: what is built with them is built again when they change. */
export function digestPackages(dir: string): string {
  return digestFiles(dir, ['package-lock.json', '.npmrc'], process.platform, process.arch);
}
