import { RESIZE_NAMES } from '@inferql/images/resize/resize-names';
import type { InputSpec } from '../spec/input-spec.ts';
import { describeNormalization } from './normalizations.ts';

type Crop = Pick<InputSpec, 'shortSide' | 'stretchTo' | 'cropFraction' | 'cover' | 'padColor'>;

/** One of each kind of resizing: enough to find out how images are cropped. */
const KINDS = ['pillow-bilinear', 'tensorflow-bilinear', 'opencv-linear', 'canvas'] as const;

const isSharp = (resize: string): boolean => resize.startsWith('sharp-');

/** The same input with another crop and resize. */
function change(input: InputSpec, resize: InputSpec['resize'], crop: Crop): InputSpec {
  const { shortSide: _, stretchTo: __, cropFraction: ___, cover: ____, padColor: _____, ...rest } = input;
  return { ...rest, resize, ...crop };
}

function cropOf({ shortSide, stretchTo, cropFraction, cover, padColor }: InputSpec): Crop {
  return {
    ...(shortSide === undefined ? {} : { shortSide }),
    ...(stretchTo === undefined ? {} : { stretchTo }),
    ...(cropFraction === undefined ? {} : { cropFraction }),
    ...(cover ? { cover } : {}),
    ...(padColor === undefined ? {} : { padColor }),
  };
}

/** Every usual crop with one resize of each kind. */
export function listCrops(input: InputSpec): InputSpec[] {
  const side = Math.max(input.width, input.height);
  const crops: Crop[] = [
    cropOf(input),
    {},
    { cover: true },
    { shortSide: side },
    { shortSide: Math.round(side / 0.875) },
    { cropFraction: 0.875 },
    { padColor: '#000000' },
    { padColor: '#ffffff' },
  ];
  const distinct = [...new Map(crops.map((crop) => [JSON.stringify(crop), crop])).values()];
  return distinct.flatMap((crop) => KINDS.map((resize) => change(input, resize, crop)));
}

/** Every resize with the crop of an input. */
export function listResizes(input: InputSpec): InputSpec[] {
  const crop = cropOf(input);
  const isSharpCrop = Object.keys(crop).every((name) => name === 'shortSide');
  return RESIZE_NAMES.filter((resize) => isSharpCrop || !isSharp(resize)).map((resize) => change(input, resize, crop));
}

/** What may differ between two inputs, as a spec says it. */
export function describeInput(input: InputSpec): string {
  const { resize, kernel, colorProfile, normalization } = input;
  const colors = colorProfile === undefined ? {} : { colorProfile };
  const fields = Object.entries({ resize: resize ?? `sharp-${kernel}`, ...cropOf(input), ...colors });
  const pixels = fields.map(([name, value]) => `${name}: ${typeof value === 'string' ? `'${value}'` : value}`);
  return [...pixels, `normalization: ${describeNormalization(normalization)}`].join(', ');
}
