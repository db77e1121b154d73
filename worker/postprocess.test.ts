import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Result, STORED_LABELS } from '../queue/contract.ts';
import { readResult } from './postprocess.ts';

const namesOf = (count: number) => Array.from({ length: count }, (_, index) => `class ${index}`);

test('the best twenty, by descending score, are those that sorting everything gives', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 }), (scores) => {
      const row = Float32Array.from(scores);
      const sorted = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, STORED_LABELS);
      const { labels } = readResult({ probabilities: row }, 0, namesOf(row.length));
      expect(labels.map(({ index }) => index)).toEqual(sorted);
    }),
  );
});

test('each image of a batch reads its own row', () => {
  const probabilities = Float32Array.from([0.1, 0.7, 0.2, 0.6, 0.3, 0.1]);
  const labels = ['a', 'b', 'c'];
  expect(readResult({ probabilities }, 0, labels).labels.map(({ name }) => name)).toEqual(['b', 'c', 'a']);
  expect(readResult({ probabilities }, 1, labels).labels.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  expect(readResult({ probabilities }, 1, labels).labels[0]).toEqual({ index: 0, name: 'a', score: 0.6 });
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('%s fails its own image and not its neighbour', (bad) => {
  const probabilities = Float32Array.from([0.1, bad, 0.4, 0.6]);
  expect(() => readResult({ probabilities }, 0, ['a', 'b'])).toThrow(expect.objectContaining({ code: 'MODEL_FAILED' }));
  expect(readResult({ probabilities }, 1, ['a', 'b']).labels).toHaveLength(2);
});

test('an answer that is too short is refused', () => {
  expect(() => readResult({ probabilities: new Float32Array(3) }, 1, ['a', 'b'])).toThrow(
    expect.objectContaining({ code: 'MODEL_FAILED' }),
  );
});

test("a class' heatmap weighs the features by that class' weights, scaled to 0..1, row by row", () => {
  // Two images of 2 channels with 2 x 1 cells; the first image's features must not be read.
  const values = Float32Array.from([9, 9, 9, 9, 1, 0, 0, 3]);
  const output = {
    probabilities: Float32Array.from([0, 0, 0.8, 0.2]),
    features: { values, width: 2, height: 1, channels: 2 },
  };
  const kernel = Float32Array.from([1, 0, -1, 2]);
  const result = readResult(output, 1, ['a', 'b'], kernel);
  expect(result.heatmaps).toEqual({
    width: 2,
    height: 1,
    maps: [
      { index: 0, values: [1, 0] },
      { index: 1, values: [0, 1] },
    ],
  });
  expect(Result.parse(result)).toEqual(result);
});

test('a flat map is all zero', () => {
  const output = {
    probabilities: Float32Array.from([1]),
    features: { values: Float32Array.from([2, 2, 2, 2]), width: 2, height: 2, channels: 1 },
  };
  const kernel = Float32Array.from([1]);
  expect(readResult(output, 0, ['a'], kernel).heatmaps!.maps[0]!.values).toEqual([0, 0, 0, 0]);
});

test('twenty maps of odd sizes are those of the plain sum of products', () => {
  const [classes, channels, width, height] = [23, 37, 5, 3];
  const numbers = (length: number, seed: number) =>
    Float32Array.from({ length }, (_, at) => Math.sin(at * seed + seed));
  const values = numbers(2 * channels * width * height, 1.7);
  const kernel = numbers(classes * channels, 2.3);
  const output = { probabilities: numbers(2 * classes, 0.9), features: { values, width, height, channels } };
  const { maps } = readResult(output, 1, namesOf(classes), kernel).heatmaps!;
  expect(maps).toHaveLength(STORED_LABELS);
  for (const { index, values: map } of maps) {
    const plain = Array.from({ length: width * height }, (_, cell) => {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) {
        sum += values[(channels + channel) * width * height + cell]! * kernel[index * channels + channel]!;
      }
      return sum;
    });
    const [low, high] = [Math.min(...plain), Math.max(...plain)];
    for (const [cell, value] of map.entries()) expect(value).toBeCloseTo((plain[cell]! - low) / (high - low), 2);
  }
});
