import { expect, test } from 'vitest';
import { drawChart } from './svg.ts';

test('a chart is one self-contained image with every line, point and name', () => {
  const svg = drawChart({
    title: 'Images & a "second"',
    xLabel: 'clients',
    x: [1, 8, 32],
    lines: [
      { name: 'end to end', y: [10, 18, 19.5] },
      { name: 'raw <engine>', y: [20, 20, 20] },
    ],
  });
  expect(svg).toContain('Images &amp; a &quot;second&quot;');
  expect(svg).toContain('raw &lt;engine>');
  expect(svg.match(/<circle/g)).toHaveLength(6);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});

test('a logarithmic axis has a tick per power of ten', () => {
  const svg = drawChart({
    title: 't',
    xLabel: 'x',
    x: [1, 2],
    lines: [{ name: 'n', y: [30, 4_000] }],
    logarithmic: true,
  });
  for (const tick of ['>10<', '>100<', '>1000<', '>10000<']) expect(svg).toContain(tick);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});
