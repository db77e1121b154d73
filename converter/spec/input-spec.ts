/** The `input` of a spec: size, cropping, resizing and normalization. */
import { RESIZE_NAMES } from '@inferql/images/resize/resize-names';
import * as z from 'zod';

const perChannel = z.array(z.number()).min(1).max(4);
const positivePerChannel = z.array(z.number().positive()).min(1).max(4);

/** `(pixel * scale - mean) / std` per channel, in the channels' order of the model. */
const ownNormalization = z.strictObject({
  /** The factor that bytes are multiplied with first; 1/255 makes them 0..1. */
  scale: z
    .number()
    .positive()
    .default(1 / 255),
  mean: perChannel.default([0]),
  std: positivePerChannel.default([1]),
  order: z.enum(['rgb', 'bgr']).default('rgb'),
});

/** The names of the usual normalizations, after keras.applications' preprocess_input. */
export const NORMALIZATIONS = ['caffe', 'tf', 'torch', 'unit', 'none'] as const;

const normalizationSpec = z.union([z.enum(NORMALIZATIONS), ownNormalization], {
  error: `${NORMALIZATIONS.join(', ')}, or { mean, std, scale, order } with numbers per channel, std and scale above 0, order rgb or bgr`,
});

export const inputFields = z.strictObject({
  width: z.int().min(1).max(4096),
  height: z.int().min(1).max(4096),
  channels: z.union([z.literal(1), z.literal(3), z.literal(4)], '1 (gray), 3 (RGB) or 4 (RGBA)').default(3),
  /** Resize the short side to this, then crop the center; absent: stretch to width x height. */
  shortSide: z.int().min(1).max(8192).optional(),
  /** Stretch the whole image to a square of this side, then crop the center. */
  stretchTo: z.int().min(1).max(8192).optional(),
  /** This share of each side, around the center, is stretched: tf.image.central_crop. */
  cropFraction: z.number().positive().max(1).optional(),
  /** The largest centered part with the model's proportions is resized: Keras' keep_aspect_ratio and crop_to_aspect_ratio. */
  cover: z.boolean().optional(),
  /** The whole image is fitted in, the rest filled with this color. */
  padColor: z
    .string()
    .regex(/^#[0-9a-fA-F]{6}$/, 'a color such as #000000')
    .optional(),
  /** The library that the model was trained with, and its filter; absent: sharp's resize with `kernel`. */
  resize: z.enum(RESIZE_NAMES).optional(),
  /** What is done with a color profile in a file; absent: what the library of `resize` does, which is to ignore it for most. */
  colorProfile: z.enum(['convert', 'ignore']).optional(),
  /** Sharp's name of the resampling kernel, if `resize` is absent. */
  kernel: z.enum(['linear', 'cubic', 'nearest', 'lanczos3']).default('linear'),
  normalization: normalizationSpec,
  /** Of an ONNX file's input; absent: as the file says. */
  layout: z.enum(['nchw', 'nhwc']).optional(),
});

/** Returns what is wrong with a normalization for this number of channels. */
function checkNormalization({ normalization, channels }: z.infer<typeof inputFields>): string | undefined {
  if (typeof normalization === 'string') {
    const isColor = normalization === 'caffe' || normalization === 'torch';
    return isColor && channels === 4 ? `numbers for 4 channels, since ${normalization} has none` : undefined;
  }
  const { mean, std, order } = normalization;
  if (order === 'bgr' && channels !== 3) return 'order rgb, since bgr is for 3 channels';
  const fits = (values: number[]) => values.length === 1 || values.length === channels;
  return fits(mean) && fits(std) ? undefined : `mean and std with one number, or one for each of ${channels} channels`;
}

type CropFields = Pick<
  z.infer<typeof inputFields>,
  'shortSide' | 'stretchTo' | 'cropFraction' | 'cover' | 'padColor' | 'resize'
>;

/** Rules of cropping that work together. */
const TOGETHER = new Set(['shortSide+padColor', 'cropFraction+cover']);

/** Returns what is wrong with the cropping options. */
export function checkCrop({ shortSide, stretchTo, cropFraction, cover, padColor, resize }: CropFields) {
  const rules = { shortSide, stretchTo, cropFraction, cover: cover || undefined, padColor };
  const given = Object.entries(rules).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (given.length > 1 && !TOGETHER.has(given.join('+')))
    return { field: given[1]!, message: `one rule of cropping, besides ${given[0]} no other` };
  const isOurs = resize !== undefined && !resize.startsWith('sharp-');
  const field = given.find((name) => name !== 'shortSide');
  return field && !isOurs ? { field, message: 'a `resize` other than sharp with it' } : undefined;
}

export const inputSpec = inputFields.superRefine((input, context) => {
  const message = checkNormalization(input);
  if (message !== undefined) context.addIssue({ code: 'custom', path: ['normalization'], message });
  const crop = checkCrop(input);
  if (crop) context.addIssue({ code: 'custom', path: [crop.field], message: crop.message });
});

export type InputSpec = z.infer<typeof inputSpec>;
export type NormalizationSpec = InputSpec['normalization'];
