import type { NormalizationSpec } from '../spec/input-spec.ts';

export interface KerasFamily {
  /** As the layers are named. */
  name: string;
  normalization: NormalizationSpec;
}

const FAMILIES: readonly [names: RegExp, normalization: NormalizationSpec][] = [
  [/"class_name":"(rescaling|normalization)"|efficientnet/, 'none'],
  [/resnet\d+v2|mobilenet|inception|xception|nasnet/, 'tf'],
  [/resnet|vgg/, 'caffe'],
  [/densenet/, 'torch'],
];

/**
 * What images are usually normalized to, by the habits of keras-applications: families are known by the names that they give their layers.
 * @param names a topology, or the names in it
 */
export function findKerasFamily(names: string): KerasFamily | undefined {
  const text = names.toLowerCase();
  for (const [pattern, normalization] of FAMILIES) {
    const [found, className] = pattern.exec(text) ?? [];
    if (found !== undefined) return { name: className ?? found, normalization };
  }
  return undefined;
}
