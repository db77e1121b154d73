/** The preprocessor_config.json of Hugging Face's transformers. Each image processor has rules that its file does not say. */
import * as z from 'zod';
import { ModelError } from '../errors.ts';
import type { InputSpec, NormalizationSpec } from '../spec/input-spec.ts';
import type { Place, Preprocessing } from './companion-files.ts';
import { nameNormalization } from './normalization-name.ts';

const side = z.int().min(1).max(8192);

/** Some versions write every field, most of them null. */
const dropNulls = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null))
    : value;

type Size = { width: number; height: number };
type SizeRule =
  | { kind: 'number'; side: number }
  | { kind: 'rectangle'; width: number; height: number }
  | { kind: 'short'; side: number }
  | { kind: 'inside' };

const sizeSchema: z.ZodType<SizeRule> = z.preprocess(
  dropNulls,
  z.union([
    side.transform((number) => ({ kind: 'number' as const, side: number })),
    z.tuple([side, side]).transform(([height, width]) => ({ kind: 'rectangle' as const, width, height })),
    z
      .object({ height: side, width: side })
      .transform(({ height, width }) => ({ kind: 'rectangle' as const, width, height })),
    z
      .strictObject({ shortest_edge: side })
      .transform(({ shortest_edge }) => ({ kind: 'short' as const, side: shortest_edge })),
    z
      .union([z.object({ longest_edge: side }), z.object({ max_height: side, max_width: side })])
      .transform(() => ({ kind: 'inside' as const })),
  ]),
);
const numbers = z.union([z.number().transform((value) => [value]), z.array(z.number()).min(1).max(4)]);

const configSchema = z.preprocess(
  dropNulls,
  z.looseObject({
    image_processor_type: z.string().optional(),
    feature_extractor_type: z.string().optional(),
    do_resize: z.boolean().default(true),
    do_center_crop: z.boolean().optional(),
    do_rescale: z.boolean().default(true),
    do_normalize: z.boolean().default(true),
    do_flip_channel_order: z.boolean().optional(),
    do_pad: z.boolean().default(false),
    size: sizeSchema.optional(),
    crop_size: sizeSchema.optional(),
    crop_pct: z.number().positive().optional(),
    resample: z.int().optional(),
    rescale_factor: z
      .number()
      .positive()
      .default(1 / 255),
    rescale_offset: z.boolean().default(false),
    include_top: z.boolean().optional(),
    image_mean: numbers.optional(),
    image_std: numbers.optional(),
  }),
);
type Config = z.infer<typeof configSchema>;

/** Of Pillow, by its numbers. */
const FILTERS = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const;

/** Models whose processor has the name of another model. */
const PROCESSORS: Record<string, string> = {
  convnextv2: 'convnext',
  cvt: 'convnext',
  'data2vec-vision': 'beit',
  dinat: 'vit',
  dinov2: 'bit',
  'donut-swin': 'donut',
  focalnet: 'bit',
  hiera: 'bit',
  ijepa: 'vit',
  metaclip_2: 'clip',
  mobilevitv2: 'mobilevit',
  nat: 'vit',
  pvt_v2: 'pvt',
  regnet: 'convnext',
  resnet: 'convnext',
  swiftformer: 'vit',
  swin: 'vit',
  swinv2: 'vit',
  van: 'convnext',
  vit_msn: 'vit',
};

/** Processors whose rules are known, which golden/processors.test.ts compares; others crop and fill in ways that their files do not say. */
const KNOWN = new Set([
  '',
  'beit',
  'bit',
  'clip',
  'convnext',
  'deit',
  'dinov3vit',
  'efficientformer',
  'efficientnet',
  'flava',
  'levit',
  'mobilenetv1',
  'mobilenetv2',
  'mobilevit',
  'perceiver',
  'poolformer',
  'pvt',
  'segformer',
  'siglip',
  'vit',
  'vithybrid',
]);

/** Those for which a size of one number is a square. For others it is the short side. */
const SQUARE = new Set(['beit', 'deit', 'efficientformer', 'efficientnet', 'perceiver', 'pvt', 'segformer', 'vit']);

/** Of ConvNeXT: larger images are stretched, smaller ones cropped. */
const CROPPED_BELOW = 384;
const CONVNEXT_SHARE = 224 / 256;
const LEVIT_SHARE = 224 / 256;
const POOLFORMER_SHARE = 0.9;
/** Processors whose files usually say which share of the image a crop keeps. */
const WITH_SHARE = new Set(['convnext', 'poolformer']);
const NO_SHARE = 'since preprocessor_config.json does not give its crop_pct';

/**
 * Reads a preprocessor_config.json.
 * @param raw its content, or undefined
 * @param model the content of config.json, which names the model if the other file does not name the processor
 * @throws ModelError SOURCE_INVALID if it is not what transformers write
 */
export function readTransformers(raw: unknown, model: unknown): Preprocessing | undefined {
  if (raw === undefined) return undefined;
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.join('.');
    throw new ModelError('SOURCE_INVALID', `preprocessor_config.json: ${field} is not what transformers write`);
  }
  const processor = nameProcessor(parsed.data, model);
  const place = KNOWN.has(processor)
    ? placeOf(parsed.data, processor)
    : { cropDoubt: `the image processor ${processor} is not known`, ...placeOf(parsed.data, processor) };
  const leavesShareOut =
    parsed.data.crop_pct === undefined && WITH_SHARE.has(processor) && place.shortSide !== undefined;
  const isCropped = [place.shortSide, place.stretchTo, place.cover].some((rule) => rule !== undefined);
  const filter = FILTERS[parsed.data.resample ?? -1];
  const resize: InputSpec['resize'] = filter && `${isCropped ? 'transformers' : 'pillow'}-${filter}`;
  const normalization = normalizationOf(parsed.data, processor);
  return {
    ...place,
    ...(leavesShareOut ? { cropDefault: `the default of this image processor, ${NO_SHARE}: --short-side` } : {}),
    ...(resize ? { resize } : {}),
    ...(normalization === undefined ? {} : { normalization }),
    from: 'preprocessor_config.json',
  };
}

/** The image processor's name without its ending, in lower case, for example `vit`. Empty if nothing says it. */
function nameProcessor({ image_processor_type, feature_extractor_type }: Config, model: unknown): string {
  const type = image_processor_type ?? feature_extractor_type;
  if (type !== undefined) return type.replace(/(ImageProcessor|FeatureExtractor)(Fast|Pil)?$/, '').toLowerCase();
  const name = z.looseObject({ model_type: z.string() }).safeParse(model).data?.model_type ?? '';
  return PROCESSORS[name] ?? name.replaceAll(/[-_]/g, '');
}

function placeOf(config: Config, processor: string): Place {
  const { size, do_resize, do_center_crop, do_pad } = config;
  const ignoresCrop = do_center_crop === false || processor === 'segformer';
  const crop = ignoresCrop ? undefined : toRectangle(config.crop_size);
  if (!do_resize) return { ...(crop ?? toRectangle(size)), cropDoubt: 'transformers do not resize images with it' };
  if (size === undefined) return { ...crop, cropDoubt: 'it leaves the size to the image processor' };
  if (size.kind === 'rectangle' || (size.kind === 'number' && SQUARE.has(processor)))
    return placeRectangle(size.kind === 'number' ? squareOf(size.side) : size, crop, config, processor);
  if (size.kind === 'inside' || do_pad) return { ...crop, cropDoubt: 'transformers fit the whole image in with it' };
  const { side } = size;
  if (processor === 'poolformer' && do_center_crop === false) return leaveLonger(side);
  if (processor === 'levit') return placeShort(Math.trunc(side / LEVIT_SHARE), crop ?? squareOf(side));
  if (processor === 'poolformer')
    return placeShort(Math.trunc(side / (config.crop_pct ?? POOLFORMER_SHARE)), crop ?? squareOf(side));
  if (processor === 'convnext' || config.crop_pct !== undefined) {
    if (side >= CROPPED_BELOW) return squareOf(side);
    // Version 4 ignores a crop of another size, version 5 applies it afterwards.
    const isCroppedAgain = config.do_center_crop === true && crop !== undefined && crop.width !== side;
    if (isCroppedAgain) return { ...crop, shortSide: side, cropDoubt: 'versions of transformers crop differently' };
    return placeShort(Math.trunc(side / (config.crop_pct ?? CONVNEXT_SHARE)), squareOf(side));
  }
  if (crop) return placeShort(side, crop);
  return leaveLonger(side);
}

/** Without a crop, the processor's results have another size for each image. */
function leaveLonger(side: number): Place {
  return { ...squareOf(side), shortSide: side, cropDoubt: 'transformers leave the long side longer' };
}

/** Images are stretched, and then perhaps cropped. */
function placeRectangle({ width, height }: Size, crop: Size | undefined, config: Config, processor: string): Place {
  const size = { width, height };
  const isSquare = width === height;
  if (processor === 'perceiver') return config.do_center_crop === false ? size : placeShare(size, config.crop_size);
  if (processor === 'poolformer' && config.do_center_crop === false) return leaveLonger(Math.max(width, height));
  if (processor === 'poolformer' && isSquare)
    return placeShort(Math.trunc(width / (config.crop_pct ?? POOLFORMER_SHARE)), crop ?? size);
  if (!crop || config.do_center_crop !== true || (crop.width === width && crop.height === height)) return size;
  if (isSquare && Math.max(crop.width, crop.height) <= width) return { ...crop, stretchTo: width };
  return { ...crop, cropDoubt: `transformers resize to ${width} x ${height} first` };
}

/** The short side is resized, then the center is cropped. */
function placeShort(shortSide: number, target: Size): Place {
  const isFilled = shortSide < Math.max(target.width, target.height);
  return { ...target, shortSide, ...(isFilled ? { padColor: '#000000' } : {}) };
}

/** Perceiver's keeps a share of the largest square, and resizes that. */
function placeShare(size: Size, cropSize: SizeRule | undefined): Place {
  const crop = toRectangle(cropSize);
  if (!crop) return { ...size, cropDoubt: 'transformers crop images before they resize them' };
  const isSquare = size.width === size.height && crop.width === crop.height;
  if (!isSquare || crop.width < size.width)
    return { ...size, cropDoubt: 'transformers crop another part of the image' };
  return { ...size, cover: true, cropFraction: size.width / crop.width };
}

const squareOf = (side: number): Size => ({ width: side, height: side });

function toRectangle(size: SizeRule | undefined): Size | undefined {
  if (size === undefined || size.kind === 'inside') return undefined;
  return size.kind === 'rectangle' ? { width: size.width, height: size.height } : squareOf(size.side);
}

/** Undefined if the file leaves it to the processor's defaults. */
function normalizationOf(config: Config, processor: string): NormalizationSpec | undefined {
  const isMobileVit = processor === 'mobilevit';
  const { image_mean, image_std, do_rescale } = config;
  // MobileViT's ignores the flag.
  const isNormalized = config.do_normalize && !isMobileVit;
  if (isNormalized && (image_mean === undefined || image_std === undefined)) return undefined;
  const offset = do_rescale && config.rescale_offset ? 1 : 0;
  const mean = isNormalized ? (image_mean ?? [0]) : [0];
  const std = isNormalized ? (image_std ?? [1]) : [1];
  // EfficientNet's divides by the deviation once more for models that classify.
  const isDividedAgain = config.include_top ?? processor === 'efficientnet';
  const again = isDividedAgain ? (image_std ?? [1]) : [1];
  return nameNormalization({
    scale: do_rescale ? config.rescale_factor : 1,
    mean: mean.map((value) => value + offset),
    std: multiply(std, again),
    order: (config.do_flip_channel_order ?? isMobileVit) ? 'bgr' : 'rgb',
  });
}

function multiply(left: number[], right: number[]): number[] {
  const length = Math.max(left.length, right.length);
  return Array.from({ length }, (_, i) => (left[i] ?? left[0] ?? 1) * (right[i] ?? right[0] ?? 1));
}
