import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { expect, onTestFinished, test } from 'vitest';
import { readResult } from '../../serving/postprocess.ts';
import { withPostprocess } from './postprocess-module.ts';

test('a heatmap stays with its class if postprocessing changes the order of the labels', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inferql-postprocess-'));
  onTestFinished(() => removeFolder(folder));
  const path = join(folder, 'postprocess.mjs');
  await writeFile(path, 'export default ({ probabilities: [a, b, c] }) => ({ probabilities: [c, b, a] });');
  const labels = ['a', 'b', 'c'];
  // Maps of the two best classes, a and b, of two images.
  const maps = { values: Float32Array.from([0, 1, 2, 0, 0, 3, 4, 0]), labels: 2, width: 2, height: 1 };
  const probabilities = Float32Array.from([0.6, 0.3, 0.1, 0.6, 0.3, 0.1]);
  const loaded = await withPostprocess(
    { hasHeatmaps: true, run: async () => ({ probabilities, maps }) },
    { classCount: 3 },
    { path, labels, timeLimitMs: 10_000 },
  );
  const output = await loaded.run({ images: new Uint8Array(2), count: 2, wantHeatmaps: true });
  for (const index of [0, 1]) {
    const result = readResult(output, index, { labels }, true);
    expect(result.labels.map(({ name }) => name)).toEqual(['c', 'b', 'a']);
    // There is none of c.
    expect(result.heatmaps?.maps).toEqual([
      { index: 1, values: [1, 0] },
      { index: 0, values: [0, 1] },
    ]);
  }
});
