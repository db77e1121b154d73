/** What ultralytics writes into an ONNX file's metadata, or into a metadata.yaml next to other formats, and what its versions do to images. */
import { ModelError } from '../errors.ts';
import { parseJsonLabels } from '../spec/label-json.ts';
import type { Companions, Place, Preprocessing } from './companion-files.ts';

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
  const preprocessing: Preprocessing = {
    ...placeOf(size, version, from),
    resize: isOlderThan(FIRST_WITH_TORCHVISION, version) ? 'opencv-linear' : 'pillow-bilinear',
    normalization: isOlderThan(FIRST_WITHOUT_MEAN, version) ? 'torch' : 'unit',
    ...(version ? {} : defaultsOf(from)),
    from,
  };
  const names = parseJsonLabels(fields.get('names') ?? '');
  return { preprocessing, ...(names ? { labels: { names, from } } : {}) };
}

type Size = { width: number; height: number };

function placeOf(size: Size | undefined, version: number[] | undefined, from: string): Partial<Preprocessing> {
  if (isOlderThan(FIRST_WITH_TORCHVISION, version)) return { ...size, cover: true };
  if (size) return { ...size, ...cropOf(size) };
  const cropDefault = `as ultralytics does, whose size is not in ${from}: --short-side`;
  return { placeAt: (found) => ({ ...found, ...cropOf(found), cropDefault }) };
}

/** torchvision's Resize gets the short side of a square, and both sides of another rectangle, which stretches. */
const cropOf = ({ width, height }: Size): Place => (width === height ? { shortSide: width } : {});

/** Without a version, the newest is assumed. */
function defaultsOf(from: string): Partial<Preprocessing> {
  const why = `as ultralytics ${FIRST_WITH_TORCHVISION.join('.')} and later do; ${from} does not name its version`;
  return {
    cropDefault: `${why}: --short-side`,
    resizeDefault: `${why}: --resize`,
    normalizationDefault: `${why}: --normalization`,
  };
}

/** False for an unknown version. */
function isOlderThan(other: readonly number[], version: readonly number[] | undefined): boolean {
  const at = other.findIndex((part, i) => (version?.[i] ?? 0) !== part);
  return version !== undefined && at !== -1 && (version[at] ?? 0) < (other[at] ?? 0);
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
