import type { InputSpec, NORMALIZATIONS, NormalizationSpec } from './input-spec.ts';

/** `(pixel[c] - mean[c]) * scale[c]` for pixels 0..255 in RGB order; then the channels are reversed to BGR, or not. */
export interface Normalization {
  mean: number[];
  scale: number[];
  reverseChannels: boolean;
}

export type OwnNormalization = Exclude<NormalizationSpec, string>;

const BYTE = 1 / 255;

/** What the names mean, as a spec could write it: one number fits any count of channels, three are in the model's order. */
export const NAMED_NORMALIZATIONS = {
  caffe: { scale: 1, mean: [103.939, 116.779, 123.68], std: [1], order: 'bgr' },
  tf: { scale: BYTE, mean: [0.5], std: [0.5], order: 'rgb' },
  torch: { scale: BYTE, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: 'rgb' },
  unit: { scale: BYTE, mean: [0], std: [1], order: 'rgb' },
  none: { scale: 1, mean: [0], std: [1], order: 'rgb' },
} satisfies Record<(typeof NORMALIZATIONS)[number], OwnNormalization>;

/** The arithmetic behind a spec's `normalization`, after keras-applications' preprocess_input. One entry per channel. */
export function normalizationOf(input: Pick<InputSpec, 'normalization' | 'channels'>): Normalization {
  const each = <T>(values: T[]): T[] => values.slice(0, input.channels);
  if (typeof input.normalization === 'object') return ownNormalization(input.normalization, input.channels);
  switch (input.normalization) {
    case 'caffe':
      return { mean: each([123.68, 116.779, 103.939]), scale: each([1, 1, 1]), reverseChannels: input.channels === 3 };
    case 'tf':
      return { mean: each(Array(4).fill(127.5)), scale: each(Array(4).fill(1 / 127.5)), reverseChannels: false };
    case 'torch':
      return {
        mean: each(NAMED_NORMALIZATIONS.torch.mean.map((mean) => mean * 255)),
        scale: each(NAMED_NORMALIZATIONS.torch.std.map((deviation) => 1 / (deviation * 255))),
        reverseChannels: false,
      };
    case 'unit':
      return { mean: each([0, 0, 0, 0]), scale: each(Array(4).fill(1 / 255)), reverseChannels: false };
    case 'none':
      return { mean: each([0, 0, 0, 0]), scale: each([1, 1, 1, 1]), reverseChannels: false };
    default:
      return input.normalization satisfies never;
  }
}

/** `(pixel * scale - mean) / std`, with means and deviations in the model's order of channels. */
function ownNormalization(own: OwnNormalization, channels: number): Normalization {
  const reverseChannels = own.order === 'bgr';
  const inRgb = (values: number[]): number[] => {
    const each = values.length === 1 ? Array<number>(channels).fill(values[0] ?? 0) : [...values];
    return reverseChannels ? each.reverse() : each;
  };
  return {
    mean: inRgb(own.mean).map((mean) => mean / own.scale),
    scale: inRgb(own.std).map((deviation) => own.scale / deviation),
    reverseChannels,
  };
}
