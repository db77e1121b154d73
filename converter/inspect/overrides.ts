import { ModelError } from '../errors.ts';
import type { Layout } from '../onnx-reader/input-trace.ts';
import type { InputSpec, NORMALIZATIONS, NormalizationSpec } from '../spec/input-spec.ts';
import type { ModelSpec } from '../spec/spec.ts';
import type { OutputRequest } from './declared-outputs.ts';
import { nameNormalization } from './normalization-name.ts';

export type Activation = ModelSpec['output']['activation'];

/** Options of the command line. They take precedence over what is read from the model. */
export interface Overrides {
  width?: number | undefined;
  height?: number | undefined;
  channels?: 1 | 3 | 4 | undefined;
  layout?: Layout | undefined;
  normalization?: (typeof NORMALIZATIONS)[number] | undefined;
  mean?: number[] | undefined;
  std?: number[] | undefined;
  scale?: number | undefined;
  order?: 'rgb' | 'bgr' | undefined;
  activation?: Activation | undefined;
  shortSide?: number | undefined;
  resize?: InputSpec['resize'];
  /** The name of the output with the scores. */
  output?: string | undefined;
  /** What the spec declares besides the labels. */
  outputs?: OutputRequest[] | undefined;
  /** Maximum number of images per run. */
  batch?: number | undefined;
}

/**
 * The normalization that the command line asks for.
 * @throws ModelError ARGUMENT_INVALID if it says two
 */
export function overriddenNormalization({
  normalization,
  mean,
  std,
  scale,
  order,
}: Overrides): NormalizationSpec | undefined {
  if (mean === undefined && std === undefined && scale === undefined && order === undefined) return normalization;
  if (normalization !== undefined) {
    throw new ModelError(
      'ARGUMENT_INVALID',
      '--normalization: expected either a name, or --mean, --std, --scale, --order',
    );
  }
  // Means of bytes are far above 1.
  const scaleOfMean = (mean ?? [0]).some((value) => Math.abs(value) > 4) ? 1 : 1 / 255;
  return nameNormalization({ scale: scale ?? scaleOfMean, mean: mean ?? [0], std: std ?? [1], order: order ?? 'rgb' });
}

/** What one number per image without an activation may be: a score of two classes, or a quantity, which only its maker knows. */
export function describeSingle(output: string, hasSize = true): string {
  const size = hasSize ? '' : ':1';
  return `one number, taken as the logit of two classes; if it is a quantity (regression): --outputs ${output}=embedding${size}`;
}

/** What logits may be: they do not show whether one class is right or any number of them, nor whether they are scores at all. */
export function describeLogits(output: string, hasNames: boolean): string {
  const several = 'if an image can have several labels at once: --activation logits-sigmoid';
  return hasNames ? several : `${several}; if it describes the image (features): --outputs ${output}=embedding`;
}

/** A normalization for people. */
export function describeNormalization(normalization: NormalizationSpec): string {
  switch (normalization) {
    case 'caffe':
      return 'caffe (BGR, mean of ImageNet subtracted)';
    case 'tf':
      return 'tf (-1..1)';
    case 'torch':
      return 'torch (mean and deviation of ImageNet)';
    case 'unit':
      return 'unit (0..1)';
    case 'none':
      return 'none (0..255)';
    default: {
      const list = (values: number[]) => values.map((value) => Number(value.toPrecision(4))).join('/');
      const { scale, mean, std, order } = normalization;
      return `mean ${list(mean)}, deviation ${list(std)} of pixels x ${Number(scale.toPrecision(4))}, ${order}`;
    }
  }
}
