// A stamp says from what a thing was made. It is written last and removed first, so a kill at any point means 'make it again'.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { projectDir } from './places.mjs';

export function readStamp(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export function writeStamp(path, digest) {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, digest);
  renameSync(unfinished, path);
}

export function removeStamp(path) {
  rmSync(path, { force: true });
}

/**
 * The digest of the content of files, given by paths relative to the project. A missing file counts as missing, it is no error.
 * Content, not times: a checkout of another branch and back is no change.
 */
export function digestFiles(paths, ...more) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const full = join(projectDir, path);
    hash.update(`${path}\0`);
    hash.update(existsSync(full) ? readFileSync(full) : 'missing');
    hash.update('\0');
  }
  for (const text of more) hash.update(`${text}\0`);
  return hash.digest('hex');
}

/** Files under some folders of the project, sorted, by paths relative to it, for which `wanted(path)` holds. */
export function listFiles(folders, wanted = () => true) {
  const found = [];
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
      const full = join(dir, entry.name);
      if (entry.isDirectory()) walk(full);
      else if (wanted(full)) found.push(relative(projectDir, full));
    }
  };
  for (const folder of folders.map((name) => resolve(projectDir, name))) if (existsSync(folder)) walk(folder);
  return found.sort();
}
