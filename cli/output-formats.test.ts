import { expect, test } from 'vitest';
import { createWriter } from './output-formats.ts';
import { formatTable } from './table.ts';

const labels = Array.from({ length: 20 }, (_, index) => ({ name: `class ${index}`, index, score: 1 / (index + 1) }));

test('JSON has as many labels of each head as of the model itself', () => {
  const record = {
    file: 'cat.jpg',
    ok: true as const,
    id: 'm.1',
    model: 'm',
    modelVersion: 'aaaaaaaaaaaa',
    labels,
    outputs: {
      heads: [{ name: 'color', task: 'SINGLE_LABEL' as const, threshold: null, labels }],
      embeddings: [],
      tensors: [],
      extra: null,
    },
    cached: false,
    batchSize: 1,
    timings: null,
  };
  const written = JSON.parse(createWriter('json', ['cat.jpg'], 3, false).write(record));
  expect(written.labels).toEqual(labels.slice(0, 3));
  expect(written.outputs).toEqual({
    ...record.outputs,
    heads: [{ ...record.outputs.heads[0], labels: labels.slice(0, 3) }],
  });
});

test('a table is written for as many images as a folder may have', () => {
  const names = Array.from({ length: 200_000 }, (_, n) => `${n}.png`);
  const { write } = createWriter('table', names, 1, false);
  expect(write({ file: '7.png', ok: false, error: { code: 'EMPTY', message: 'The file is empty.' } })).toBe(
    '7.png       EMPTY: The file is empty.',
  );
  expect(
    formatTable(
      ['NAME'],
      names.map((name) => [name]),
    ).split('\n'),
  ).toHaveLength(200_001);
});
