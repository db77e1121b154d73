import type { NormalizationSpec } from '../spec/input-spec.ts';
import { NAMED_NORMALIZATIONS, type OwnNormalization } from '../spec/normalization.ts';

/** Those of colors divided by 255. */
const NAMES = ['torch', 'tf', 'unit'] as const;

/** The usual name of a normalization, if it has one. */
export function nameNormalization(own: OwnNormalization): NormalizationSpec {
  const { scale, mean, std, order } = own;
  if (order === 'bgr') return own;
  const at = (values: number[], channel: number) => values[values.length === 1 ? 0 : channel] ?? Number.NaN;
  const same = (left: number[], right: number[]) =>
    [0, 1, 2].every((channel) => Math.abs(at(left, channel) - at(right, channel)) < 1e-6);
  const isBytes = Math.abs(scale - 1) < 1e-9 && mean.every((value) => value === 0) && std.every((value) => value === 1);
  if (isBytes) return 'none';
  // Named ones are for three channels, or for any if all are alike.
  if (Math.abs(scale - 1 / 255) > 1e-7 || (mean.length !== 3 && mean.length !== 1)) return own;
  const name = NAMES.find(
    (one) => same(mean, NAMED_NORMALIZATIONS[one].mean) && same(std, NAMED_NORMALIZATIONS[one].std),
  );
  return name ?? own;
}
