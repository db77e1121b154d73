import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explain, formatPage } from './page.ts';
import { readRows } from './rows.ts';

const rows = readRows(join(import.meta.dirname, 'rows.jsonl'));

test('docs/classifiers.md is what the rows print', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/classifiers.md'), 'utf8');
  expect(page, 'docs/classifiers.md differs: run `npm run bench -- classifiers --page`').toBe(formatPage(rows));
});

test('each served file agrees with its framework within 1e-4 or says why not, and each other one says why', () => {
  const faults = rows.filter((row) =>
    'refused' in row
      ? row.refused.length < 20
      : (row.difference > 1e-4 && !explain(row)) || row.agreeing !== row.images,
  );
  expect(faults).toEqual([]);
});

test('a model in a form has one row', () => {
  const keys = rows.map(({ model, form, versions }) => `${versions} ${model} ${form}`);
  expect(new Set(keys).size).toBe(keys.length);
});
