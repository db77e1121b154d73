import path from 'node:path';
import * as z from 'zod';
import { ModelError } from '../errors.ts';
import { readTextFile } from '../files/text-file.ts';
import type { InputSpec, NormalizationSpec } from '../spec/input-spec.ts';
import { parseJsonLabels } from '../spec/label-json.ts';
import { readLabels } from '../spec/labels.ts';
import { readTimm } from './timm-config.ts';
import { readTransformers } from './transformers-config.ts';
import { parseMetadataYaml, readUltralytics } from './ultralytics.ts';

/** The size of a model's images, and how they are cropped. */
export interface Place {
  width?: number | undefined;
  height?: number | undefined;
  shortSide?: number | undefined;
  stretchTo?: number | undefined;
  cover?: boolean | undefined;
  cropFraction?: number | undefined;
  padColor?: string | undefined;
  /** Why the crop is not quite what the file says, for people. */
  cropDoubt?: string | undefined;
  /** Why the crop is only the default of the tool that wrote the file, for people. */
  cropDefault?: string | undefined;
}

/** How images must be prepared, as far as a file specifies it. */
export interface Preprocessing extends Place {
  /** The crop that the tool makes for a model of this size, if the file does not name a size. */
  placeAt?: ((size: { width: number; height: number }) => Place) | undefined;
  resize?: InputSpec['resize'];
  /** Why the resize is only the tool's default. */
  resizeDefault?: string | undefined;
  normalization?: NormalizationSpec | undefined;
  /** Why the normalization is only the tool's default. */
  normalizationDefault?: string | undefined;
  /** The file that says so. */
  from: string;
}

/** What files next to a model specify. */
export interface Companions {
  labels?: { names: string[]; from: string };
  preprocessing?: Preprocessing;
  problem?: Problem;
}

/** What a model was trained for, if its logits are not those of classes of which one is right. */
export interface Problem {
  type: 'multi-label' | 'regression';
  from: string;
}

/** Files that may be next to a model, in order of preference. */
export const COMPANION_FILES = [
  'metadata.json',
  'preprocessor_config.json',
  'config.json',
  'metadata.yaml',
  'labels.txt',
  'labels.json',
  'class_indices.json',
  'class_names.json',
  'class_names.txt',
  'classes.json',
  'classes.txt',
  'names.txt',
];
const LABEL_FILES = COMPANION_FILES.slice(4);

/**
 * Reads the files next to a model: Teachable Machine's metadata.json, the config.json and preprocessor_config.json of
 * Hugging Face and timm, ultralytics' metadata.yaml, and files with class names.
 * @throws ModelError SOURCE_INVALID for one that cannot be read
 */
export async function readCompanions(folder: string): Promise<Companions> {
  const found: Companions = {};
  const [metadata, preprocessor, config] = await Promise.all(
    ['metadata.json', 'preprocessor_config.json', 'config.json'].map((name) => readJson(path.join(folder, name))),
  );
  const teachable = teachableSchema.safeParse(metadata).data;
  if (teachable) {
    const { imageSize: size, packageName = IMAGE_PACKAGE } = teachable;
    if (packageName !== IMAGE_PACKAGE) {
      throw new ModelError(
        'SOURCE_INVALID',
        `metadata.json is from ${packageName}: only Teachable Machine's image models classify images`,
      );
    }
    found.preprocessing = {
      resize: 'canvas',
      normalization: TEACHABLE_NORMALIZATION,
      ...(size === undefined ? { placeAt: placeTeachable } : { width: size, height: size, shortSide: size }),
      from: "Teachable Machine's metadata.json",
    };
  }
  const huggingFace = readTransformers(preprocessor, config);
  if (huggingFace) found.preprocessing = huggingFace;
  const timm = readTimm(config);
  if (timm && !found.preprocessing) found.preprocessing = timm;
  const yaml = await readText(path.join(folder, 'metadata.yaml'));
  const ultralytics = yaml === undefined ? undefined : readUltralytics(await parseMetadataYaml(yaml), 'metadata.yaml');
  if (ultralytics?.preprocessing && !found.preprocessing) found.preprocessing = ultralytics.preprocessing;
  if (ultralytics?.labels) found.labels = ultralytics.labels;
  const problem = readProblem(config);
  if (problem) found.problem = problem;
  for (const [name, value] of [
    ['metadata.json', metadata],
    ['config.json', config],
  ] as const) {
    const names = value === undefined ? undefined : parseJsonLabels(JSON.stringify(value), 'named');
    if (names && !found.labels) found.labels = { names, from: name };
  }
  for (const name of LABEL_FILES) {
    if (found.labels || (await readText(path.join(folder, name))) === undefined) continue;
    found.labels = { names: await readLabels(path.join(folder, name)), from: name };
  }
  return found;
}

/** The `problem_type` that transformers write when a model is trained. */
function readProblem(config: unknown): Problem | undefined {
  const type = z.looseObject({ problem_type: z.string() }).safeParse(config).data?.problem_type;
  const from = 'config.json (problem_type)';
  if (type === 'multi_label_classification') return { type: 'multi-label', from };
  return type === 'regression' ? { type, from } : undefined;
}

async function readText(file: string): Promise<string | undefined> {
  return readTextFile(file).catch(() => undefined);
}

async function readJson(file: string): Promise<unknown> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelError('SOURCE_INVALID', `${path.basename(file)} cannot be read`, { cause });
  }
}

const IMAGE_PACKAGE = '@teachablemachine/image';
/** Teachable Machine's code: pixels / 127 - 1, not the usual / 127.5. */
const TEACHABLE_NORMALIZATION: NormalizationSpec = { scale: 1 / 127, mean: [1], std: [1], order: 'rgb' };

/** Its code crops the center square, whatever the metadata say. */
const placeTeachable = ({ width, height }: { width: number; height: number }): Place => ({
  shortSide: Math.max(width, height),
  cropDefault: "as Teachable Machine's code does; its metadata.json has no imageSize: --short-side",
});

/** Other tools write a metadata.json, too; Teachable Machine's identifies itself. */
const teachableSchema = z
  .looseObject({ tmVersion: z.string().optional(), packageName: z.string().optional(), imageSize: z.int().optional() })
  .refine(({ tmVersion, packageName }) => tmVersion !== undefined || packageName?.startsWith('@teachablemachine/'));
