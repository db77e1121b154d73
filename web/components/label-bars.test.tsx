import { renderToStaticMarkup } from 'react-dom/server';
import { expect, test } from 'vitest';
import { LabelBars } from './label-bars.tsx';

const labels = [{ name: 'egyptian_cat', index: 3, score: 0.5 }];

test('a name has its own direction, and can be read as a whole, with and without heatmaps', () => {
  const plain = renderToStaticMarkup(<LabelBars labels={labels} heatmap={undefined} onChoose={undefined} />);
  expect(plain).toContain('<span class="bar-name" dir="auto" title="egyptian cat">egyptian cat</span>');
  const chosen = renderToStaticMarkup(<LabelBars labels={labels} heatmap={undefined} onChoose={() => {}} />);
  expect(chosen).toContain('title="Show where the model saw: egyptian cat"');
  expect(chosen).toContain('<span class="bar-name" dir="auto">egyptian cat</span>');
});
