import path from 'node:path';
import { z } from 'zod';
import { ModelError } from '../errors.ts';
import { readTextFile } from '../files/text-file.ts';
import type { InputSpec, NormalizationSpec } from '../spec/input-spec.ts';
import { parseLabels, readLabels } from '../spec/labels.ts';

/** How images must be prepared, as far as a file specifies it. */
export interface Preprocessing {
  width?: number | undefined;
  height?: number | undefined;
  shortSide?: number | undefined;
  resize?: InputSpec['resize'];
  normalization?: NormalizationSpec | undefined;
  /** The file that says so. */
  from: string;
}

/** What files beside a model specify. */
export interface Companions {
  labels?: { names: string[]; from: string };
  preprocessing?: Preprocessing;
}

/** Files that may be beside a model, in order of preference. */
export const COMPANION_FILES = [
  'metadata.json',
  'preprocessor_config.json',
  'config.json',
  'labels.txt',
  'labels.json',
  'class_indices.json',
  'class_names.json',
  'class_names.txt',
  'classes.json',
  'classes.txt',
  'names.txt',
];
const LABEL_FILES = COMPANION_FILES.slice(3);

/**
 * Reads the files beside a model: Teachable Machine's metadata.json, the config.json and preprocessor_config.json of
 * Hugging Face and timm, and files with class names.
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
    const crop = size === undefined ? {} : { width: size, height: size, shortSide: size };
    found.preprocessing = {
      resize: 'canvas',
      normalization: TEACHABLE_NORMALIZATION,
      ...crop,
      from: "Teachable Machine's metadata.json",
    };
  }
  const huggingFace = readPreprocessor(preprocessor);
  if (huggingFace) found.preprocessing = huggingFace;
  const timm = readTimm(config);
  if (timm && !found.preprocessing) found.preprocessing = timm;
  for (const [name, value] of [
    ['metadata.json', metadata],
    ['config.json', config],
  ] as const) {
    const names = value === undefined ? undefined : parseLabels(JSON.stringify(value), 'named');
    if (names && !found.labels) found.labels = { names, from: name };
  }
  for (const name of LABEL_FILES) {
    if (found.labels || (await readText(path.join(folder, name))) === undefined) continue;
    found.labels = { names: await readLabels(path.join(folder, name)), from: name };
  }
  return found;
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

/** Other tools write a metadata.json, too; Teachable Machine's identifies itself. */
const teachableSchema = z
  .looseObject({ tmVersion: z.string().optional(), packageName: z.string().optional(), imageSize: z.int().optional() })
  .refine(({ tmVersion, packageName }) => tmVersion !== undefined || packageName?.startsWith('@teachablemachine/'));

const side = z.int().min(1).max(8192);
const sizeSchema = z.union([
  side.transform((size) => ({ shortest_edge: size })),
  z.looseObject({ height: side, width: side }),
  z.looseObject({ shortest_edge: side }),
]);
const numbers = z.union([z.number().transform((value) => [value]), z.array(z.number()).min(1).max(4)]);

const preprocessorSchema = z.looseObject({
  do_resize: z.boolean().default(true),
  do_center_crop: z.boolean().optional(),
  do_rescale: z.boolean().default(true),
  do_normalize: z.boolean().default(true),
  do_flip_channel_order: z.boolean().optional(),
  size: sizeSchema.optional(),
  crop_size: sizeSchema.optional(),
  crop_pct: z.number().positive().optional(),
  resample: z.int().optional(),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  image_mean: numbers.default([0]),
  image_std: numbers.default([1]),
});

/** Of Pillow, by its numbers. */
const PILLOW_RESIZES: Record<number, InputSpec['resize']> = {
  0: 'pillow-nearest',
  1: 'pillow-lanczos',
  2: 'pillow-bilinear',
  3: 'pillow-bicubic',
  4: 'pillow-box',
  5: 'pillow-hamming',
};
/** Of ConvNeXT and its like: larger images are stretched, smaller ones cropped. */
const CROPPED_BELOW = 384;

/** The preprocessor_config.json of Hugging Face's transformers. */
function readPreprocessor(raw: unknown): Preprocessing | undefined {
  if (raw === undefined) return undefined;
  const parsed = preprocessorSchema.safeParse(raw);
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.join('.');
    throw new ModelError('SOURCE_INVALID', `preprocessor_config.json: ${field} is not what transformers write`);
  }
  const { resample, do_rescale, do_normalize, do_flip_channel_order, rescale_factor, image_mean, image_std } =
    parsed.data;
  const normalization = nameNormalization({
    scale: do_rescale ? rescale_factor : 1,
    mean: do_normalize ? image_mean : [0],
    std: do_normalize ? image_std : [1],
    order: do_flip_channel_order ? 'bgr' : 'rgb',
  });
  const resize = resample === undefined ? undefined : PILLOW_RESIZES[resample];
  return { ...placeOf(parsed.data), ...(resize ? { resize } : {}), normalization, from: 'preprocessor_config.json' };
}

function placeOf(config: z.infer<typeof preprocessorSchema>): Pick<Preprocessing, 'width' | 'height' | 'shortSide'> {
  const { size, crop_size, do_center_crop, crop_pct } = config;
  const crop = do_center_crop === false ? undefined : crop_size;
  const rectangle = (of: typeof size) => {
    if (of === undefined) return undefined;
    return 'height' in of && 'width' in of
      ? { width: Number(of.width), height: Number(of.height) }
      : { width: Number(of.shortest_edge), height: Number(of.shortest_edge) };
  };
  const target = rectangle(crop ?? size);
  if (!target) return {};
  const longest = Math.max(target.width, target.height);
  if (size && 'shortest_edge' in size && crop_pct !== undefined) {
    return longest < CROPPED_BELOW ? { ...target, shortSide: Math.floor(longest / crop_pct) } : target;
  }
  const resized = rectangle(size);
  const isCropped = crop !== undefined && (do_center_crop === true || (size && 'shortest_edge' in size));
  const shortSide =
    size && 'shortest_edge' in size ? Number(size.shortest_edge) : Math.min(resized?.width ?? 0, resized?.height ?? 0);
  if (isCropped || (size && 'shortest_edge' in size)) return { ...target, shortSide: Math.max(shortSide, longest) };
  return target;
}

const timmSchema = z.looseObject({
  pretrained_cfg: z.looseObject({
    input_size: z.tuple([z.int(), side, side]).optional(),
    mean: numbers.optional(),
    std: numbers.optional(),
    crop_pct: z.number().positive().optional(),
    crop_mode: z.string().optional(),
    interpolation: z.string().optional(),
  }),
});

/** The config.json of timm's models. */
function readTimm(raw: unknown): Preprocessing | undefined {
  const config = timmSchema.safeParse(raw).data?.pretrained_cfg;
  if (!config) return undefined;
  const { input_size, mean, std, crop_pct = 0.875, crop_mode = 'center', interpolation } = config;
  const resizes: Record<string, InputSpec['resize']> = {
    bilinear: 'pillow-bilinear',
    bicubic: 'pillow-bicubic',
    nearest: 'pillow-nearest',
    lanczos: 'pillow-lanczos',
  };
  const resize = resizes[interpolation ?? ''];
  const [, height, width] = input_size ?? [];
  const longest = Math.max(width ?? 0, height ?? 0);
  return {
    ...(input_size ? { width, height } : {}),
    ...(input_size && crop_mode === 'center' ? { shortSide: Math.floor(longest / crop_pct) } : {}),
    ...(resize ? { resize } : {}),
    ...(mean && std ? { normalization: nameNormalization({ scale: 1 / 255, mean, std, order: 'rgb' }) } : {}),
    from: 'config.json (timm)',
  };
}

const NAMED: [NormalizationSpec, { mean: number[]; std: number[] }][] = [
  ['torch', { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }],
  ['tf', { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }],
  ['unit', { mean: [0, 0, 0], std: [1, 1, 1] }],
];

/** The usual name of a normalization, if it has one. */
export function nameNormalization(own: Exclude<NormalizationSpec, string>): NormalizationSpec {
  const { scale, mean, std, order } = own;
  if (order === 'bgr') return own;
  const same = (left: number[], right: number[]) =>
    right.every((value, i) => Math.abs((left[left.length === 1 ? 0 : i] ?? Number.NaN) - value) < 1e-6);
  const isBytes = Math.abs(scale - 1) < 1e-9 && mean.every((value) => value === 0) && std.every((value) => value === 1);
  if (isBytes) return 'none';
  // Named ones are for three channels, or for any if all are alike.
  if (Math.abs(scale - 1 / 255) > 1e-7 || (mean.length !== 3 && mean.length !== 1)) return own;
  const name = NAMED.find(([, named]) => same(mean, named.mean) && same(std, named.std))?.[0];
  return name ?? own;
}
