/** Labels in JSON files, and in texts that Python printed. */
import { parsePythonLiteral } from './python-literal.ts';

/** Names under which tools keep class names in an object, or in an ONNX file's metadata. */
export const LABEL_KEYS = [
  ...[
    'labels',
    'names',
    'id2label',
    'label_names',
    'class_names',
    'classNames',
    'classes',
    'idx_to_class',
    'idx2label',
  ],
  // Of class indices by name. The ones by index are preferred.
  ...['class_to_idx', 'class_indices', 'label2id', 'label2idx'],
];

/**
 * Labels from JSON, or from a list or dict as Python prints it, which exporters write into ONNX files.
 * @param where `named`: only under a name that says that these are labels
 * @returns undefined if there are none
 */
export function parseJsonLabels(text: string, where: 'anywhere' | 'named' = 'anywhere'): string[] | undefined {
  const raw = parseLiteral(text.replace(/^\uFEFF/, ''));
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

/** Undefined for what is neither JSON nor a literal of Python. */
function parseLiteral(text: string): unknown {
  for (const parse of [JSON.parse, parsePythonLiteral]) {
    try {
      return parse(text);
    } catch {}
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
