import { Result, STORED_LABELS } from '@inferql/queue/contract';
import { MAX_RESULT_LENGTH, type ModelOutput } from '@inferql/queue/outputs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readResult } from './postprocess.ts';

const namesOf = (count: number) => Array.from({ length: count }, (_, index) => `class ${index}`);

test('the best twenty, by descending score, are the same as by sorting all', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 }), (scores) => {
      const row = Float32Array.from(scores);
      const sorted = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, STORED_LABELS);
      const { labels } = readResult({ probabilities: row }, 0, { labels: namesOf(row.length) });
      expect(labels.map(({ index }) => index)).toEqual(sorted);
    }),
  );
});

test('each image of a batch reads its own row', () => {
  const probabilities = Float32Array.from([0.1, 0.7, 0.2, 0.6, 0.3, 0.1]);
  const labels = { labels: ['a', 'b', 'c'] };
  expect(readResult({ probabilities }, 0, labels).labels.map(({ name }) => name)).toEqual(['b', 'c', 'a']);
  expect(readResult({ probabilities }, 1, labels).labels.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  expect(readResult({ probabilities }, 1, labels).labels[0]).toEqual({ index: 0, name: 'a', score: 0.6 });
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('%s fails its image and no other', (bad) => {
  const probabilities = Float32Array.from([0.1, bad, 0.4, 0.6]);
  expect(() => readResult({ probabilities }, 0, { labels: ['a', 'b'] })).toThrow(
    expect.objectContaining({ code: 'MODEL_FAILED' }),
  );
  expect(readResult({ probabilities }, 1, { labels: ['a', 'b'] }).labels).toHaveLength(2);
});

test('more labels than usual are kept if requested, and maps of the first ones only', () => {
  const probabilities = Float32Array.from({ length: 60 }, (_, i) => i / 60);
  const maps = { values: new Float32Array(STORED_LABELS), labels: STORED_LABELS, width: 1, height: 1 };
  const result = readResult({ probabilities, maps }, 0, { labels: namesOf(60) }, true, 50);
  expect(result.labels.map(({ index }) => index)).toEqual(Array.from({ length: 50 }, (_, i) => 59 - i));
  expect(result.heatmaps?.maps).toHaveLength(STORED_LABELS);
  expect(readResult({ probabilities }, 0, { labels: namesOf(60) }, false, 1000).labels).toHaveLength(60);
});

test('an answer that is too short is refused', () => {
  expect(() => readResult({ probabilities: new Float32Array(3) }, 1, { labels: ['a', 'b'] })).toThrow(
    expect.objectContaining({ code: 'MODEL_FAILED' }),
  );
});

test('each map is scaled to 0..1 and is at the position of its label', () => {
  // Two images of two maps of 2 x 1 cells; the first image's maps must not be read.
  const output = {
    probabilities: Float32Array.from([0, 0, 0.2, 0.8]),
    maps: { values: Float32Array.from([9, 9, 9, 9, -1, 3, 5, 1]), labels: 2, width: 2, height: 1 },
  };
  const result = readResult(output, 1, { labels: ['a', 'b'] }, true);
  expect(result.heatmaps).toEqual({
    width: 2,
    height: 1,
    maps: [
      { index: 1, values: [0, 1] },
      { index: 0, values: [1, 0] },
    ],
  });
  expect(Result.parse(result)).toEqual(result);
  expect(readResult(output, 1, { labels: ['a', 'b'] }).heatmaps).toBeUndefined();
});

test('a flat map is all zero', () => {
  const output = {
    probabilities: Float32Array.from([1]),
    maps: { values: Float32Array.from([2, 2, 2, 2]), labels: 1, width: 2, height: 2 },
  };
  expect(readResult(output, 0, { labels: ['a'] }, true).heatmaps!.maps[0]!.values).toEqual([0, 0, 0, 0]);
});

test.each([
  ['a value that is not a number', [1, Number.NaN]],
  ['too few values', []],
])('a map with %s fails the image', (_, values) => {
  const output = {
    probabilities: Float32Array.from([1]),
    maps: { values: Float32Array.from(values), labels: 1, width: 2, height: 1 },
  };
  expect(() => readResult(output, 0, { labels: ['a'] }, true)).toThrow(
    expect.objectContaining({ code: 'MODEL_FAILED' }),
  );
  expect(readResult(output, 0, { labels: ['a'] }).labels).toHaveLength(1);
});

const HEAD: ModelOutput = { type: 'labels', name: 'color', classCount: 2, task: 'multi-label', threshold: 0.5 };
const EMBEDDING: ModelOutput = { type: 'embedding', name: 'features', size: 3 };
const MASK: ModelOutput = { type: 'tensor', name: 'mask', dtype: 'uint8', shape: [2, 1] };

test('outputs are read from the row of their image, bytes little-endian', () => {
  const output = {
    probabilities: new Float32Array(0),
    outputs: {
      color: Float32Array.from([0.1, 0.2, 0.3, 0.9]),
      features: Float32Array.from([0, 0, 0, 1, -0.5, 3e-9]),
      mask: Uint8Array.from([0, 0, 7, 8]),
    },
  };
  const spec = { labels: [], outputs: [HEAD, EMBEDDING, MASK], headLabels: { color: ['red', 'blue'] } };
  const result = readResult(output, 1, spec, false, 1);
  const bytes = Buffer.alloc(12);
  [1, -0.5, 3e-9].forEach((value, at) => {
    bytes.writeFloatLE(value, at * 4);
  });
  expect(result).toEqual({
    labels: [],
    outputs: [
      {
        type: 'labels',
        name: 'color',
        task: 'multi-label',
        threshold: 0.5,
        labels: [{ index: 1, name: 'blue', score: 0.9 }],
      },
      { type: 'embedding', name: 'features', size: 3, data: bytes.toString('base64') },
      { type: 'tensor', name: 'mask', dtype: 'uint8', shape: [2, 1], data: Buffer.from([7, 8]).toString('base64') },
    ],
  });
  expect(Result.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
});

test.each([
  ['an output that is missing', {}],
  ['an embedding with a value that is not a number', { features: Float32Array.from([1, Number.NaN, 1]) }],
])('%s fails the image', (_, outputs) => {
  const output = { probabilities: new Float32Array(0), outputs };
  expect(() => readResult(output, 0, { labels: [], outputs: [EMBEDDING] })).toThrow(
    expect.objectContaining({ code: 'MODEL_FAILED' }),
  );
});

test('a failure of one image does not affect its neighbor', () => {
  const output = { probabilities: Float32Array.from([1, 1]), failures: ['no', undefined] };
  expect(() => readResult(output, 0, { labels: ['a'] })).toThrow(expect.objectContaining({ code: 'MODEL_FAILED' }));
  expect(readResult(output, 1, { labels: ['a'] }).labels).toHaveLength(1);
});

test('a result that is longer than a record may be fails the image', () => {
  const long = 'x'.repeat(MAX_RESULT_LENGTH / 1000);
  const probabilities = new Float32Array(1000).fill(0.5);
  const spec = { labels: Array.from({ length: 1000 }, () => long), outputs: [EMBEDDING] };
  const output = { probabilities, outputs: { features: Float32Array.from([1, 2, 3]) } };
  expect(() => readResult(output, 0, spec, false, 1000)).toThrow(
    expect.objectContaining({
      cause: expect.objectContaining({ message: expect.stringMatching(/characters of JSON/) }),
    }),
  );
  expect(readResult(output, 0, spec, false, 20).labels).toHaveLength(20);
});
