import { readFileSync } from 'node:fs';
import { inspectImage } from '@inferql/images/inspect/inspect';
import { expect, test } from 'vitest';
import { findImages } from './benchmark-images.ts';

test('if ../shared/images is missing, there are eight JPEGs of different sizes', () => {
  const facts = findImages('bench/samples').map((file) => inspectImage(readFileSync(file)));
  expect(facts.map(({ format }) => format)).toEqual(Array.from({ length: 8 }, () => 'jpeg'));
  expect(new Set(facts.map(({ width, height }) => `${width}x${height}`)).size).toBe(8);
});
