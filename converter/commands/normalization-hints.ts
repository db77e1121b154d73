import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { COMPANION_FILES } from '../inspect/companion-files.ts';

const MAX_FILES = 20;
const MAX_BYTES = 1_000_000;
const TEXT = /\.(json|ya?ml|toml|txt|md)$|^readme$/i;
/** In prose, "mean" has other meanings. */
const MENTION = /\b(image_|pixel_)?(means?|std|stddev)["']?\s*[:=[(]|normali[sz]/i;

/**
 * Files beside a model that `add` cannot read, but a person can: they mention a mean or a normalization.
 * @param source what was added; anything but a path of this machine has none
 * @returns their names
 */
export async function findHints(source: string): Promise<string[]> {
  const found = await stat(source).catch(() => undefined);
  if (!found) return [];
  const folder = found.isDirectory() ? source : path.dirname(source);
  const names = (await readdir(folder).catch(() => [])).sort();
  const candidates = names.filter(
    (name) => TEXT.test(name) && name !== 'model.json' && !COMPANION_FILES.includes(name.toLowerCase()),
  );
  const hints: string[] = [];
  for (const name of candidates.slice(0, MAX_FILES)) {
    const file = path.join(folder, name);
    const size = await stat(file).catch(() => undefined);
    if (!size?.isFile() || size.size > MAX_BYTES) continue;
    if (MENTION.test(await readFile(file, 'utf8').catch(() => ''))) hints.push(name);
  }
  return hints;
}
