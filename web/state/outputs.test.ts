import { expect, test } from 'vitest';
import { describeOutputs } from './outputs.ts';

const base64 = '';

test('what a card does not draw is named with its size', () => {
  const embeddings = [
    { name: 'vector', size: 512, base64 },
    { name: 'mean', size: 1, base64 },
  ];
  const tensors = [
    { name: 'mask', dtype: 'UINT8' as const, shape: [7, 7], base64 },
    { name: 'count', dtype: 'INT32' as const, shape: [], base64 },
  ];
  expect(describeOutputs({ labels: [], embeddings, tensors, extra: { sure: true } })).toBe(
    'Also in the result: vector (embedding of 512 numbers), mean (embedding of 1 number), mask (tensor of 7 × 7 uint8), ' +
      'count (tensor of 1 int32), extra (JSON).',
  );
});

test('a result of labels alone has nothing else', () => {
  expect(describeOutputs({ labels: [] })).toBeUndefined();
  expect(describeOutputs({ labels: [], heads: [], embeddings: [], tensors: [], extra: null })).toBeUndefined();
});
