import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readLists } from './model-lists.ts';
import { explain, explainRefusal, formatPage } from './page.ts';
import { readRows } from './rows.ts';

const rows = readRows(join(import.meta.dirname, 'rows.jsonl'));
const lists = readLists(join(import.meta.dirname, 'models.jsonl'));

test('docs/classifiers.md is what the rows print', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/classifiers.md'), 'utf8');
  expect(page, 'docs/classifiers.md differs: run `npm run bench -- classifiers --page`').toBe(formatPage(rows, lists));
});

test('each served file agrees within 1e-4 or says why not, its normalization is guessed right, and each other file says why', () => {
  const faults = rows.filter((row) =>
    'refused' in row
      ? !explainRefusal(row.refused) || row.refused.length < 20
      : (row.difference > 1e-4 && !explain(row)) || row.agreeing !== row.images || !row.isGuessRight,
  );
  expect(faults).toEqual([]);
});

test('a model in a form has one row', () => {
  const keys = rows.map(({ model, form, versions }) => `${versions} ${model} ${form}`);
  expect(new Set(keys).size).toBe(keys.length);
});

test('what was not measured is listed, and what a large file takes', () => {
  const versions = 'Keras 9.0.0';
  const measured = {
    engine: 'onnxruntime',
    difference: 2e-6,
    agreeing: 4,
    images: 4,
    perSecond: 3.14,
    isGuessRight: true,
  };
  const page = formatPage(
    [
      { model: 'Small', form: 'h5', versions, ...measured, seconds: 0.5, megabytes: 12, peakMegabytes: 300 },
      { model: 'Large', form: 'h5', versions, ...measured, seconds: 7.12, megabytes: 553.4, peakMegabytes: 1204 },
    ],
    [{ versions, forms: ['h5', 'keras'], models: ['Small', 'Large', 'Larger', 'Largest'] }],
  );
  expect(page).toContain('2 of 4 models, 2 files, 2 of them served');
  expect(page).toContain('| Small | not measured | 2.0e-6, 3.1/s |');
  expect(page).toContain('| Large | `h5` | 553 MB | 7.1 s | 1204 MB |');
  expect(page).not.toContain('| Small | `h5` |');
  expect(page).toContain('Not measured (2 models): Larger, Largest.');
});
