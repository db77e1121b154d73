import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { saveLayersModel } from './golden/harness.fixture.ts';

/** Of the model that `writeModel` writes. */
export const SPEC = {
  source: { type: 'folder', model: 'model.json', labels: 'labels.txt' } as Record<string, string>,
  format: 'tfjs-layers',
  input: { width: 8, height: 6, normalization: 'tf' },
  output: { activation: 'softmax' },
};

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
