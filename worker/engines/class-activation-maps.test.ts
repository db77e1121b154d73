import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeModel } from '@inferql/converter/onnx-writer/graph/encode-onnx';
import type { GraphPort, OnnxGraph } from '@inferql/converter/onnx-writer/graph/graph';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMapDrawer, type Features } from './class-activation-maps.ts';
import { createMultiply, PRODUCT_FILE } from './onnx/matmul.ts';

const CLASSES = 23;
const LABELS = 20;

let folder: string;
let kernelPath: string;

const numbers = (length: number, seed: number) => Float32Array.from({ length }, (_, at) => Math.sin(at * seed + seed));
const features: Features = { values: numbers(2 * 37 * 5 * 3, 1.7), width: 5, height: 3, channels: 37 };
const kernel = numbers(CLASSES * features.channels, 2.3);
const probabilities = numbers(2 * CLASSES, 0.9);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferql-maps-'));
  kernelPath = join(folder, 'cam.bin');
  writeFileSync(kernelPath, kernel);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Heatmap values of a class by definition: heat = sum over channels of weight x feature. */
function plainMap(image: number, index: number): number[] {
  const cells = features.width * features.height;
  return Array.from({ length: cells }, (_, cell) => {
    let sum = 0;
    for (let channel = 0; channel < features.channels; channel++) {
      const feature = features.values[(image * features.channels + channel) * cells + cell]!;
      sum += feature * kernel[index * features.channels + channel]!;
    }
    return sum;
  });
}

test("twenty maps per image weigh the features by each class' weights, the best label first", async () => {
  const draw = createMapDrawer({ featuresOutput: '', kernelPath, labels: LABELS }, CLASSES, await createMultiply());
  const maps = await draw(probabilities, features);
  expect(maps).toMatchObject({ labels: LABELS, width: 5, height: 3 });
  for (const image of [0, 1]) {
    const row = probabilities.subarray(image * CLASSES, (image + 1) * CLASSES);
    const best = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, LABELS);
    for (const [place, index] of best.entries()) {
      const at = (image * LABELS + place) * 15;
      const map = [...maps.values.subarray(at, at + 15)];
      for (const [cell, value] of plainMap(image, index).entries()) expect(map[cell]).toBeCloseTo(value, 4);
    }
  }
});

test('a model with fewer classes than labels has one map per class', async () => {
  writeFileSync(join(folder, 'two.bin'), kernel.subarray(0, 2 * features.channels));
  const heatmap = { featuresOutput: '', kernelPath: join(folder, 'two.bin'), labels: LABELS };
  const draw = createMapDrawer(heatmap, 2, await createMultiply());
  const maps = await draw(Float32Array.of(0.4, 0.6, 0.6, 0.4), features);
  expect(maps).toMatchObject({ labels: 2 });
  expect(maps.values[0]).toBeCloseTo(plainMap(0, 1)[0]!, 4);
  expect(maps.values[2 * 15]).toBeCloseTo(plainMap(1, 0)[0]!, 4);
});

test('weights of another model are refused', async () => {
  const draw = createMapDrawer({ featuresOutput: '', kernelPath, labels: LABELS }, CLASSES + 1, await createMultiply());
  await expect(draw(numbers(2 * (CLASSES + 1), 0.9), features)).rejects.toThrow(/does not belong to features of 37/);
});

test('the shipped file is what the converter writes for its one node', () => {
  const port = (name: string, shape: number[]): GraphPort => ({ name, type: 'float32', shape });
  const graph: OnnxGraph = {
    nodes: [{ op: 'MatMul', inputs: ['left', 'right'], outputs: ['product'], attributes: {} }],
    constants: new Map(),
    inputs: [port('left', [-1, -2, -3]), port('right', [-1, -3, -4])],
    outputs: [port('product', [-1, -2, -4])],
  };
  expect(PRODUCT_FILE).toBe(Buffer.from(encodeModel(graph, 'product')).toString('base64'));
});
