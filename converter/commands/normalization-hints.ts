import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { COMPANION_FILES } from '../inspect/companion-files.ts';

const MAX_FILES = 20;
const MAX_BYTES = 1_000_000;
const TEXT = /\.(json|ya?ml|toml|txt|md)$|^readme$/i;
const TFJS_MODEL = /"(modelTopology|weightsManifest)"/;
/** In prose, "mean" has other meanings. */
const MENTION = /\b(image_|pixel_)?(means?|std|stddev)["']?\s*[:=[(]|normali[sz]/i;

/** Fields of JSON that hold its numbers. */
const NUMBER_FIELD = /^(image_|pixel_)?(means?|std|stddev|scale|rescale_factor)$/i;
const SHOWN_GROUPS = 3;
const MAX_DEPTH = 8;

/** A file that mentions a mean or a normalization. */
export interface Hint {
  file: string;
  /** The numbers that it has, if it is JSON, such as `input: means 123,117,104, scale 0.0039`. */
  numbers: string[];
}

/**
 * Files beside a model that `add` cannot read, but a person can: they mention a mean or a normalization.
 * @param source what was added; anything but a path of this machine has none
 */
export async function findHints(source: string): Promise<Hint[]> {
  const found = await stat(source).catch(() => undefined);
  if (!found) return [];
  const folder = found.isDirectory() ? source : path.dirname(source);
  const names = (await readdir(folder).catch(() => [])).sort();
  const candidates = names.filter(
    (name) => TEXT.test(name) && name !== 'model.json' && !COMPANION_FILES.includes(name.toLowerCase()),
  );
  const hints: Hint[] = [];
  for (const name of candidates.slice(0, MAX_FILES)) {
    const file = path.join(folder, name);
    const size = await stat(file).catch(() => undefined);
    if (!size?.isFile() || size.size > MAX_BYTES) continue;
    const text = await readFile(file, 'utf8').catch(() => '');
    // The nodes and weights of models are named so, too.
    if (MENTION.test(text) && !TFJS_MODEL.test(text))
      hints.push({ file: name, numbers: name.endsWith('.json') ? listNumbers(text) : [] });
  }
  return hints;
}

function listNumbers(text: string): string[] {
  try {
    return listGroups(JSON.parse(text), []).slice(0, SHOWN_GROUPS);
  } catch {
    return [];
  }
}

/** The objects with such fields, each with its path. */
function listGroups(value: unknown, at: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null || at.length > MAX_DEPTH) return [];
  const entries = Object.entries(value);
  const fields = entries.flatMap(([name, field]) => {
    const numbers = [field].flat();
    const isShort = numbers.length > 0 && numbers.length <= 4 && numbers.every((number) => typeof number === 'number');
    return NUMBER_FIELD.test(name) && isShort ? [`${name} ${numbers.join(',')}`] : [];
  });
  const own = fields.length > 0 ? [`${at.length > 0 ? `${at.join('.')}: ` : ''}${fields.join(', ')}`] : [];
  return [...own, ...entries.flatMap(([name, field]) => listGroups(field, [...at, name]))];
}
