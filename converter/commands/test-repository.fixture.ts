import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach } from 'vitest';
import { randomizeWeights, saveLayersModel, type TestModel } from '../golden/harness.fixture.ts';
import { createContext } from './command-context.fixture.ts';
import type { CommandContext } from './command-context.ts';

const SAMPLES = path.resolve(import.meta.dirname, '../../models/samples');

/** An empty repository with the samples, fresh for each test. */
export interface TestRepository {
  /** A folder for a test's files. */
  root: string;
  context: CommandContext;
  /** The lines that commands have printed. */
  printed: string[];
}

export function useRepository(): TestRepository {
  const repository = {} as TestRepository;
  beforeEach(async () => {
    const root = await mkdtemp(path.join(os.tmpdir(), 'inferql-repository-'));
    const { context, printed } = createContext(root);
    await cp(SAMPLES, path.join(context.modelsDir, 'samples'), { recursive: true });
    Object.assign(repository, { root, context, printed });
  });
  afterEach(() => rm(repository.root, { recursive: true, force: true }));
  return repository;
}

export function network(activation: 'softmax' | 'linear' | 'sigmoid' = 'softmax', units = 3): tf.LayersModel {
  const trunk = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [32, 32, 3], filters: 4, kernelSize: 3, strides: 2, activation: 'relu' }),
      tf.layers.globalAveragePooling2d({}),
    ],
  });
  const head = tf.sequential({ layers: [tf.layers.dense({ inputShape: [4], units, activation })] });
  return tf.sequential({ layers: [trunk, head] });
}

export async function filesOf(model: tf.LayersModel): Promise<Record<string, string | Uint8Array>> {
  randomizeWeights(model);
  const saved: TestModel = await saveLayersModel(model);
  return { 'model.json': JSON.stringify(saved.modelJson), 'weights.bin': new Uint8Array(saved.weightData) };
}

/** A model.json as an export for a web page may name its weights. */
export function nameWeightsByUrl(modelJson: string): string {
  return modelJson.replace('"weights.bin"', '"https://example.org/net/weights.bin?v=1"');
}

export const METADATA = JSON.stringify({
  tfjsVersion: '1.3.1',
  tmVersion: '2.4.7',
  labels: ['one', 'two', 'three'],
  imageSize: 32,
});

export async function writeFiles(folder: string, files: Record<string, string | Uint8Array>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, data] of Object.entries(files)) await writeFile(path.join(folder, name), data);
  return folder;
}
