import { describe, expect, test } from 'vitest';
import type { NormalizationSpec } from './input-spec.ts';
import { normalizationOf } from './normalization.ts';

/** A pixel as a model gets it. */
function normalize(pixel: number[], normalization: NormalizationSpec): number[] {
  const channels = pixel.length as 1 | 3 | 4;
  const { mean, scale, reverseChannels } = normalizationOf({ normalization, channels });
  expect([mean.length, scale.length]).toEqual([channels, channels]);
  const values = pixel.map((value, i) => (value - (mean[i] ?? 0)) * (scale[i] ?? 0));
  return reverseChannels ? values.reverse() : values;
}

function own(more: Partial<Exclude<NormalizationSpec, string>>): NormalizationSpec {
  return { scale: 1 / 255, mean: [0], std: [1], order: 'rgb', ...more };
}

describe('a normalization', () => {
  test('with a given mean and deviation is (pixel * scale - mean) / std', () => {
    const torch = own({ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });
    for (const [i, value] of normalize([10, 100, 250], torch).entries()) {
      expect(value).toBeCloseTo(normalize([10, 100, 250], 'torch')[i] ?? 0, 10);
    }
    const clip = own({ mean: [0.5, 0.4, 0.3], std: [0.1, 0.2, 0.3] });
    const expected = [(0.2 - 0.5) / 0.1, (0.4 - 0.4) / 0.2, (0.8 - 0.3) / 0.3];
    for (const [i, value] of normalize([51, 102, 204], clip).entries()) expect(value).toBeCloseTo(expected[i] ?? 0, 10);
  });

  test("takes its numbers in the model's order of channels", () => {
    const caffe = own({ scale: 1, mean: [103.939, 116.779, 123.68], order: 'bgr' });
    expect(normalize([10, 100, 250], caffe)).toEqual(normalize([10, 100, 250], 'caffe'));
    expect(normalize([1, 2, 3], own({ scale: 1, mean: [1, 0, 0], std: [2, 1, 1], order: 'bgr' }))).toEqual([1, 2, 1]);
  });

  test('with one number applies it to every channel, of one and of four', () => {
    expect(normalize([51], own({ mean: [0.1], std: [0.5] }))[0]).toBeCloseTo(0.2, 10);
    expect(normalize([0, 255, 255, 0], own({ mean: [0.5], std: [0.5] }))).toEqual([-1, 1, 1, -1]);
    expect(normalize([0, 255, 255, 0], 'tf')).toEqual([-1, 1, 1, -1]);
    expect(normalize([0, 255, 255, 51], 'none')).toEqual([0, 255, 255, 51]);
  });
});
