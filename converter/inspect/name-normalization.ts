import type { NormalizationSpec } from '../spec/input-spec.ts';

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
