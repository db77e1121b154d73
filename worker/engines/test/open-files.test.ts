/** Loading a model on tfjs leaves no file of its weights open, whether it succeeds or not. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphWriter } from '@inferql/converter/golden/graph-writer.fixture';
import { layerFile } from '@inferql/converter/golden/layer-files.fixture';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadPredictor } from '../tfjs/predictor.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inferql-open-files-'));
  await tf.setBackend('cpu');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${descriptor}`);
      return file.startsWith(folder) ? [file] : [];
    } catch {
      return [];
    }
  });
}

const kernel = { kernel: { shape: [1, 1, 3, 2] }, bias: { shape: [2] } };
const convolution = (filters: number) =>
  layerFile('tfjs-layers 4.22.0', [
    { class_name: 'Conv2D', config: { filters, kernel_size: [1, 1] }, weights: kernel },
  ]);
const sum = () => {
  const graph = new GraphWriter();
  return graph.model(graph.node('AddV2', [graph.node('AddV2', ['image', graph.float(1)]), graph.float(1, 2, 3)]));
};

test.skipIf(process.platform !== 'linux').each([
  ['a graph', sum, true],
  ['layers', () => convolution(2), true],
  ['layers with weights of another shape', () => convolution(3), false],
])('%s', async (_, write, succeeds) => {
  const { modelJson, weightData } = write();
  writeFileSync(join(folder, 'model.json'), JSON.stringify(modelJson));
  writeFileSync(join(folder, 'weights.bin'), new Uint8Array(weightData));
  const loading = loadPredictor({
    path: join(folder, 'model.json'),
    format: 'tfjs-graph',
    normalization: { mean: [0], scale: [1], reverseChannels: false },
    activation: 'logits',
  });
  await (succeeds ? expect(loading).resolves.toBeDefined() : expect(loading).rejects.toThrow());
  expect(openFiles()).toEqual([]);
});
