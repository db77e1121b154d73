import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Enough for the files of any model; a folder of packages may have more. */
const MAX_FILES = 1_000;

/** Changes when a file of the folder does: its name, size or times. Packages and names that begin with a dot do not count. */
export async function signFolder(folder: string): Promise<string> {
  const found: string[] = [];
  const waiting = [''];
  for (let at = waiting.pop(); at !== undefined && found.length < MAX_FILES; at = waiting.pop()) {
    const entries = await readdir(join(folder, at), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
      const path = join(at, entry.name);
      if (entry.isDirectory()) waiting.push(path);
      // The target of a link, too.
      else found.push(await signFile(join(folder, path), path));
    }
  }
  return found.sort().join('\n');
}

async function signFile(file: string, path: string): Promise<string> {
  const found = await stat(file).catch(() => undefined);
  return `${path}:${found?.size}:${found?.mtimeMs}:${found?.ctimeMs}:${found?.ino}`;
}
