/** What ultralytics writes into an ONNX file's metadata, or into a metadata.yaml next to other formats, and what its versions do to images. */
import { ModelError } from '../errors.ts';
import { parseLabels } from '../spec/labels.ts';
import type { Companions, Preprocessing } from './companion-files.ts';

/** The first whose classifiers do not normalize by ImageNet's mean and deviation. */
const FIRST_WITHOUT_MEAN = [8, 0, 53];
/** The first that resizes with torchvision; before, the center square was resized with OpenCV. */
const FIRST_WITH_TORCHVISION = [8, 0, 233];

/**
 * @param from the file, for people
 * @returns undefined if it is not from ultralytics
 * @throws ModelError SOURCE_INVALID for a model of another task
 */
export function readUltralytics(fields: ReadonlyMap<string, string>, from: string): Companions | undefined {
  if (!/ultralytics/i.test(fields.get('author') ?? fields.get('description') ?? '')) return undefined;
  const task = fields.get('task');
  if (task !== undefined && task !== 'classify') {
    throw new ModelError('SOURCE_INVALID', `the model's task is ${task}: only models that classify images are served`);
  }
  const [height, width = height] = (fields.get('imgsz') ?? '').match(/\d+/g)?.map(Number) ?? [];
  const size = height === undefined || width === undefined ? undefined : { width, height };
  const version = (fields.get('version') ?? '').match(/\d+/g)?.map(Number);
  const preprocessing = { ...placeOf(size, version), normalization: normalizationOf(version), from };
  const names = parseLabels(fields.get('names') ?? '');
  return { preprocessing, ...(names ? { labels: { names, from } } : {}) };
}

function placeOf(size: { width: number; height: number } | undefined, version: number[] | undefined) {
  if (version && isBefore(version, FIRST_WITH_TORCHVISION)) {
    return { ...size, cover: true, resize: 'opencv-linear' } satisfies Partial<Preprocessing>;
  }
  // torchvision's Resize gets the short side of a square, and both sides of another rectangle, which stretches.
  const crop = size && size.width === size.height ? { shortSide: size.width } : {};
  return { ...size, ...crop, resize: 'pillow-bilinear' } satisfies Partial<Preprocessing>;
}

function normalizationOf(version: number[] | undefined): 'torch' | 'unit' {
  return version && isBefore(version, FIRST_WITHOUT_MEAN) ? 'torch' : 'unit';
}

function isBefore(version: readonly number[], other: readonly number[]): boolean {
  const at = other.findIndex((part, i) => (version[i] ?? 0) !== part);
  return at !== -1 && (version[at] ?? 0) < (other[at] ?? 0);
}

const MAX_LINES = 50_000;

/** The fields of a metadata.yaml, as far as ultralytics writes YAML: scalars, lists of numbers, and the names by class index. */
export function parseMetadataYaml(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  const names: Record<string, string> = {};
  let field = '';
  let index: string | undefined;
  for (const line of joinWrapped(text.split(/\r?\n/).slice(0, MAX_LINES))) {
    const top = /^([\w-]+):\s*(.*)$/.exec(line);
    const item = /^\s*-\s*(.+)$/.exec(line);
    const entry = /^\s+(\d+):\s*(.*)$/.exec(line);
    if (top) {
      field = top[1] ?? '';
      fields.set(field, unquote(top[2] ?? ''));
    } else if (item) fields.set(field, `${fields.get(field) ?? ''} ${unquote(item[1] ?? '')}`.trim());
    else if (entry && field === 'names') {
      index = entry[1] ?? '';
      names[index] = unquote(entry[2] ?? '');
    }
  }
  if (index !== undefined) fields.set('names', JSON.stringify(names));
  return fields;
}

/** Long scalars continue on further lines, which are neither entries nor items. */
function joinWrapped(lines: readonly string[]): string[] {
  const joined: string[] = [];
  for (const line of lines) {
    const isContinued = /^\s+\S/.test(line) && !/^\s*(-\s|[\w-]+:(\s|$))/.test(line) && joined.length > 0;
    if (isContinued) joined[joined.length - 1] += ` ${line.trim()}`;
    else joined.push(line);
  }
  return joined;
}

function unquote(scalar: string): string {
  const text = scalar.trim();
  if (/^'.*'$/.test(text)) return text.slice(1, -1).replaceAll("''", "'");
  if (!/^".*"$/.test(text)) return text;
  try {
    return String(JSON.parse(text.replace(/\\x([0-9a-f]{2})/gi, '\\u00$1')));
  } catch {
    return text.slice(1, -1);
  }
}
