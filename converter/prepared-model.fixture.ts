import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import * as tf from '@tensorflow/tfjs';
import JSON5 from 'json5';
import { afterEach, beforeEach } from 'vitest';
import { saveLayersModel } from './golden/harness.fixture.ts';

/** Of the model that `writeModel` writes. */
export const SPEC = {
  source: { type: 'folder', model: 'model.json', labels: 'labels.txt' } as Record<string, string>,
  format: 'tfjs-layers',
  input: { width: 8, height: 6, normalization: 'tf' },
  output: { activation: 'softmax' },
};

/** Folders of one test. */
export interface ModelFolders {
  /** Contains the others, and what a test adds. */
  root: string;
  /** `models/tiny`, empty. */
  modelDir: string;
  stateDir: string;
}

/** Gives each test its folders, which are removed after it. The object is filled before each test. */
export function setUpFolders(): ModelFolders {
  const folders: ModelFolders = { root: '', modelDir: '', stateDir: '' };
  beforeEach(async () => {
    const root = await mkdtemp(path.join(os.tmpdir(), 'inferql-models-'));
    Object.assign(folders, { root, modelDir: path.join(root, 'models/tiny'), stateDir: path.join(root, 'state') });
    await mkdir(folders.modelDir, { recursive: true });
  });
  // A pull that was cut or aborted may still write to npm's cache.
  afterEach(() => removeFolder(folders.root));
  return folders;
}

export async function writeSpec(modelDir: string, spec: object): Promise<void> {
  await writeFile(path.join(modelDir, 'model.json5'), JSON5.stringify(spec));
}

export async function writeModel(folder: string, seed = 1): Promise<void> {
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [6, 8, 3], filters: 4, kernelSize: 3 }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 2, activation: 'softmax', kernelInitializer: tf.initializers.glorotUniform({ seed }) }),
    ],
  });
  const { modelJson, weightData } = await saveLayersModel(model);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'model.json'), JSON.stringify(modelJson));
  await writeFile(path.join(folder, 'weights.bin'), Buffer.from(weightData));
  await writeFile(path.join(folder, 'labels.txt'), 'cat\ndog\n');
}
