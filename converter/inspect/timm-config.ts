/** The config.json of timm's models, by the rules of `resolve_data_config` and `transforms_imagenet_eval`. */
import * as z from 'zod';
import type { InputSpec } from '../spec/input-spec.ts';
import { NAMED_NORMALIZATIONS } from '../spec/normalization.ts';
import type { Place, Preprocessing } from './companion-files.ts';
import { nameNormalization } from './normalization-name.ts';

const side = z.int().min(1).max(8192);
const perChannel = z.array(z.number()).min(1).max(4);

const configSchema = z.looseObject({
  pretrained_cfg: z.looseObject({
    input_size: z.tuple([z.int(), side, side]).nullish(),
    mean: perChannel.nullish(),
    std: perChannel.nullish(),
    crop_pct: z.number().nullish(),
    crop_mode: z.string().nullish(),
    interpolation: z.string().nullish(),
  }),
});

const RESIZES: Record<string, InputSpec['resize']> = {
  bilinear: 'pillow-bilinear',
  bicubic: 'pillow-bicubic',
  nearest: 'pillow-nearest',
  lanczos: 'pillow-lanczos',
  box: 'pillow-box',
  hamming: 'pillow-hamming',
};
/** What timm uses if the file says nothing. */
const INTERPOLATION = 'bicubic';
const CROP_SHARE = 0.875;
const { mean: MEAN, std: DEVIATION } = NAMED_NORMALIZATIONS.torch;

/** @param raw the content of config.json, or undefined */
export function readTimm(raw: unknown): Preprocessing | undefined {
  const config = configSchema.safeParse(raw).data?.pretrained_cfg;
  if (!config) return undefined;
  const { input_size, mean, std, interpolation } = config;
  const resize = RESIZES[interpolation || INTERPOLATION];
  const placeAt = (size: Size) => placeOf(config, size);
  return {
    ...(input_size ? placeAt({ width: input_size[2], height: input_size[1] }) : { placeAt }),
    ...(resize ? { resize } : {}),
    ...(interpolation ? {} : { resizeDefault: `${whyDefault('interpolation')}: --resize` }),
    normalization: nameNormalization({ scale: 1 / 255, mean: mean ?? MEAN, std: std ?? DEVIATION, order: 'rgb' }),
    ...(mean && std ? {} : { normalizationDefault: `${whyDefault('mean and std')}: --mean and --std` }),
    from: 'config.json (timm)',
  };
}

type Config = z.infer<typeof configSchema>['pretrained_cfg'];
type Size = { width: number; height: number };

const whyDefault = (field: string): string => `timm's default, since config.json does not give its ${field}`;

function placeOf({ crop_pct, crop_mode, mean }: Config, size: Size): Place {
  const share = crop_pct || CROP_SHARE;
  const cropDefault = crop_pct ? {} : { cropDefault: `${whyDefault('crop_pct')}: --short-side` };
  const longest = Math.max(size.width, size.height);
  const resized = Math.floor(longest / share);
  const isExact = size.width === size.height && resized >= longest;
  const cropDoubt = isExact ? {} : { cropDoubt: `timm's crop_pct ${share} of ${size.width} x ${size.height}` };
  const certainty = { ...cropDefault, ...cropDoubt };
  const side = Math.max(resized, longest);
  if (crop_mode === 'squash') return { ...size, ...(resized > longest ? { stretchTo: side } : {}), ...certainty };
  if (crop_mode === 'border') {
    const hex = (mean ?? MEAN).slice(0, 3).map((value) =>
      Math.round(255 * value)
        .toString(16)
        .padStart(2, '0'),
    );
    const padColor = `#${hex.length === 3 ? hex.join('') : '000000'}`;
    return { ...size, padColor, cropDoubt: "timm's crop_mode border, whose position may differ by a pixel" };
  }
  return { ...size, shortSide: side, ...certainty };
}
