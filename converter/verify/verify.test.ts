import { expect, test } from 'vitest';
import type { InputSpec } from '../spec/input-spec.ts';
import { parseAnswers } from './answers.ts';
import { findBestInput } from './verify.ts';

const INPUT: InputSpec = { width: 8, height: 8, channels: 3, kernel: 'linear', normalization: 'tf' };

test('a normalization that gives NaN does not hide the one that gives the same answers', async () => {
  const answers: Record<string, number> = { tf: 0.3, torch: 0.4, none: 0.9 };
  const answer = async (_: string, { normalization }: InputSpec) => {
    const value = answers[String(normalization)] ?? Number.NaN;
    return Float32Array.of(value, 1 - value);
  };
  const expected = [{ file: 'a.png', probabilities: [0.9, 0.1] }];
  const { input, comparison } = await findBestInput({ answer }, expected, INPUT, 60_000);
  expect(input.normalization).toBe('none');
  expect(comparison.largest).toBeCloseTo(0, 6);
});

test.each([
  ['of all classes', 'file\na.png,0.25,0.75\n'],
  ['of the second of two classes alone, as a sigmoid gives it', 'file\na.png,0.75\n'],
  ['without a header', 'a.png,0.25,0.75\n'],
])('answers are read: %s', (_, text) => {
  expect(parseAnswers(text, 'answers.csv', 2)).toEqual([{ file: 'a.png', probabilities: [0.25, 0.75] }]);
});

test.each([1, 3])('a single probability is refused for %i more classes than two have', (more) => {
  expect(() => parseAnswers('file\na.png,0.75', 'answers.csv', 2 + more)).toThrow(/found 1 values/);
});
