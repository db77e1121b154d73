import { renderToStaticMarkup } from 'react-dom/server';
import { expect, test } from 'vitest';
import { CardOutputs } from './card-outputs.tsx';

const label = (name: string, index: number, score: number) => ({ name, index, score });

test('each further head has bars, at most three, or says that no label reaches its threshold', () => {
  const labels = ['red', 'green', 'light_blue', 'gray'].map((name, index) => label(name, index, 0.9 - index / 5));
  const heads = [
    { name: 'color', task: 'MULTI_LABEL' as const, threshold: 0.25, labels },
    { name: 'shape', task: 'SINGLE_LABEL' as const, threshold: 0.5, labels: [] },
  ];
  const embeddings = [{ name: 'histogram', size: 24, base64: '' }];
  const html = renderToStaticMarkup(<CardOutputs result={{ labels: [], heads, embeddings }} />);
  expect(html.match(/<section aria-label="(\w+)"/g)).toHaveLength(2);
  expect([...html.matchAll(/class="bar-name"[^>]*>([^<]+)/g)].map(([, name]) => name)).toEqual([
    'red',
    'green',
    'light blue',
  ]);
  expect(html).toContain('No label reaches 0.5.');
  expect(html).toContain('Also in the result: histogram (embedding of 24 numbers).');
});

test('a result of labels alone has nothing more', () => {
  expect(renderToStaticMarkup(<CardOutputs result={{ labels: [label('cat', 0, 1)], heads: [] }} />)).toBe('');
});
