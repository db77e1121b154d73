import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readTextBytes } from '../files/text-file.ts';
import { parseLabelText } from './label-text.ts';

/** Names under which tools keep class names in an object. */
const LABEL_KEYS = ['labels', 'id2label', 'label_names', 'class_names', 'classNames', 'classes', 'names'];

/**
 * Reads labels: a JSON list, a JSON object by class index or of class indices by name, one of these inside an object
 * (Teachable Machine's metadata, Hugging Face's config.json), or a label per line.
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
  const labels = file.endsWith('.json') ? parseLabels(text) : parseLabelText(text);
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

/**
 * Labels from JSON, or from a list or dict as Python prints it, which exporters write into ONNX files.
 * @param where `named`: only under a name that says that these are labels
 * @returns undefined if there are none
 */
export function parseLabels(text: string, where: 'anywhere' | 'named' = 'anywhere'): string[] | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return where === 'anywhere' ? parsePython(text) : undefined;
  }
  if (where === 'anywhere') {
    const direct = toLabels(raw);
    if (direct) return direct;
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return undefined;
  for (const key of LABEL_KEYS) {
    const labels = toLabels((raw as Record<string, unknown>)[key]);
    if (labels) return labels;
  }
  return undefined;
}

function toLabels(raw: unknown): string[] | undefined {
  if (Array.isArray(raw)) {
    const list = [...(raw as unknown[])];
    while (list.at(-1) === '') list.pop();
    return isLabels(list) ? list : undefined;
  }
  if (typeof raw !== 'object' || raw === null) return undefined;
  const entries = Object.entries(raw);
  const list = new Array<unknown>(entries.length);
  for (const [key, value] of entries) {
    if (typeof value === 'number') list[value] = key;
    // Keras' list of ImageNet: an id and a name per class.
    else list[Number(key)] = Array.isArray(value) ? (value as unknown[]).at(-1) : value;
  }
  return list.length === entries.length && isLabels(Array.from(list)) ? (list as string[]) : undefined;
}

function isLabels(list: unknown[]): list is string[] {
  return list.length > 0 && list.every((label) => typeof label === 'string');
}

/** Such as `{0: 'cat', 1: "dog's"}` or `['cat', 'dog']`. */
function parsePython(text: string): string[] | undefined {
  const trimmed = text.trim();
  if (!/^[[({]/.test(trimmed)) return undefined;
  const string = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/.source;
  const isDict = trimmed.startsWith('{');
  const pattern = new RegExp(isDict ? `(\\d+)\\s*:\\s*(?:${string})` : `()(?:${string})`, 'g');
  const list: string[] = [];
  let count = 0;
  for (const [, index = '', single, double] of trimmed.matchAll(pattern)) {
    list[isDict ? Number(index) : count] = (single ?? double ?? '').replace(/\\(.)/g, '$1');
    count++;
  }
  return list.length === count && isLabels(Array.from(list)) ? list : undefined;
}

/** The names that more than one class has, each once. */
export function repeatedNames(labels: readonly string[]): string[] {
  return [...new Set(labels.filter((label, i) => labels.indexOf(label) !== i))];
}
