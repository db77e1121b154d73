/** Labels in JSON files, and in texts that Python printed. */

/** Names under which tools keep class names in an object. */
const LABEL_KEYS = ['labels', 'id2label', 'label_names', 'class_names', 'classNames', 'classes', 'names'];

/**
 * Labels from JSON, or from a list or dict as Python prints it, which exporters write into ONNX files.
 * @param where `named`: only under a name that says that these are labels
 * @returns undefined if there are none
 */
export function parseJsonLabels(text: string, where: 'anywhere' | 'named' = 'anywhere'): string[] | undefined {
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
