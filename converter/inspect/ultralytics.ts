/** What ultralytics writes into an ONNX file's metadata, or into a metadata.yaml next to other formats, and what its versions do to images. */
import { ModelError } from '../errors.ts';
import { parseJsonLabels } from '../spec/label-json.ts';
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
  const names = parseJsonLabels(fields.get('names') ?? '');
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

/** Of a metadata.yaml: a thousand class names take 30 KB. */
const MAX_YAML_LENGTH = 4 * 1024 * 1024;

/**
 * The fields of a metadata.yaml, lists and maps as JSON. Every scalar stays the text that it is: class names may look like numbers.
 * @returns no fields for what is not YAML: files of this name have other writers, too
 */
export async function parseMetadataYaml(text: string): Promise<Map<string, string>> {
  // Loaded here, since few models come with such a file.
  const { parse } = await import('yaml');
  try {
    if (text.length > MAX_YAML_LENGTH) return new Map();
    const fields: unknown = parse(text, { schema: 'failsafe', maxAliasCount: 0, logLevel: 'error' });
    if (fields === null || typeof fields !== 'object') return new Map();
    return new Map(
      Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
    );
  } catch {
    return new Map();
  }
}
