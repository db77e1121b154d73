import { expect, test } from 'vitest';
import { wayWithoutLabels, whyNotScores } from './answer-shape.ts';

test.each([
  [[1000], true],
  [[1, 1, 1000], true],
  [[1000, 1, 1], true],
  [[1], true],
  [[], true],
  [[8, 8, 2], false],
  [[2254, 13], false],
])('numbers of the sizes %j can be scores: %s', (sizes, can) => {
  expect(whyNotScores(sizes) === undefined).toBe(can);
});

test('the way out names the outputs that fit into a result together', () => {
  const boxes = { name: 'boxes', sizes: [100, 4] };
  const mask = { name: 'mask', sizes: [128, 128] };
  const map = { name: 'map', sizes: [256, 256] };
  expect(wayWithoutLabels([boxes, { name: 'open', sizes: undefined }])).toMatch(
    /, or serve it without labels: --outputs boxes=tensor,open=tensor$/,
  );
  // 64 KiB alone.
  expect(wayWithoutLabels([mask])).toMatch(/--outputs mask=tensor$/);
  expect(wayWithoutLabels([boxes, mask])).toMatch(/--outputs boxes=tensor \(a result may have 64 KiB of them\)$/);
  expect(wayWithoutLabels([map])).toBe(
    'export it with a score per class as an output. Its numbers cannot be served without labels, either: a result may have 64 KiB of them',
  );
});
