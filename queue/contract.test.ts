import { expect, test } from 'vitest';
import { modelOfPrediction, newPredictionId } from './contract.ts';

test('ids are never the same, name their model, and have 128 bits', () => {
  const ids = Array.from({ length: 1_000 }, () => newPredictionId('resnet50'));
  expect(new Set(ids).size).toBe(ids.length);
  expect(new Set(ids.map((id) => id.slice('resnet50.'.length, -2))).size).toBe(ids.length);
  for (const id of ids) {
    expect(modelOfPrediction(id)).toBe('resnet50');
    expect(Buffer.from(id.slice('resnet50.'.length), 'base64url')).toHaveLength(16);
  }
});
