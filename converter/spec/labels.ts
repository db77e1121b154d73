import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readTextBytes } from '../files/text-file.ts';
import { parseJsonLabels } from './label-json.ts';
import { parseLabelText } from './label-text.ts';

/**
 * Reads labels: a JSON list, a JSON object by class index or of class indices by name, one of these inside an object
 * (Teachable Machine's metadata, Hugging Face's config.json), these as Python prints them, or a label per line.
 * @throws ModelError SOURCE_INVALID
 */
export async function readLabels(file: string): Promise<string[]> {
  const bytes = await readTextBytes(file).catch((cause: Error) => {
    throw new ModelError('SOURCE_INVALID', `labels ${path.basename(file)} cannot be read: ${cause.message}`, { cause });
  });
  const text = decodeText(bytes);
  if (text === undefined) {
    throw new ModelError('SOURCE_INVALID', `labels ${path.basename(file)}: not UTF-8, save the file in that encoding`);
  }
  // A list or dict may be in a text file, too, as the one of ImageNet's classes that is passed around.
  const labels = parseJsonLabels(text) ?? (file.endsWith('.json') ? undefined : parseLabelText(text));
  if (!labels) {
    throw new ModelError(
      'SOURCE_INVALID',
      `labels ${path.basename(file)}: expected a list of names, an object by class index, one name per line, or a table with the columns index and name`,
    );
  }
  return labels;
}

/** Editors on Windows write UTF-16 with a mark in front. Undefined for other encodings, which nothing names. */
function decodeText(bytes: Uint8Array): string | undefined {
  const mark = Buffer.from(bytes.subarray(0, 2)).toString('hex');
  const encoding = mark === 'fffe' ? 'utf-16le' : mark === 'feff' ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The names that more than one class has, each once. */
export function repeatedNames(labels: readonly string[]): string[] {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const label of labels) {
    if (seen.has(label)) repeated.add(label);
    seen.add(label);
  }
  return [...repeated];
}
