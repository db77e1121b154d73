import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';

export interface TinyModelOptions {
  /** Layers between the convolution and the pooling. */
  middle?: () => tf.layers.Layer[];
  labels?: string[];
  /** Laid over the spec. */
  spec?: Record<string, unknown>;
  /** Every bias of the last layer: another value is another version with another answer. */
  favorite?: number;
}

/**
 * Writes a small convolutional classifier into a model repository: 6 x 5 RGB images, one convolution, global average pooling,
 * and a dense layer. The label at `favorite` wins whatever the image is.
 */
export async function writeTinyModel(modelsDir: string, name: string, options: TinyModelOptions = {}): Promise<void> {
  const { middle = () => [], labels = ['red', 'green', 'blue'], favorite = 0 } = options;
  await tf.setBackend('cpu');
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [5, 6, 3], filters: 4, kernelSize: 3, padding: 'same', activation: 'relu' }),
      ...middle(),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: labels.length, activation: 'softmax' }),
    ],
  });
  const dense = model.layers.at(-1)!;
  const [kernel] = dense.getWeights();
  dense.setWeights([kernel!.mul(0.01), tf.oneHot(favorite, labels.length).mul(5).toFloat()]);
  // In one step, so that a watcher never sees half a model.
  const staging = join(modelsDir, `.${name}-${Date.now()}`);
  await mkdir(staging, { recursive: true });
  await model.save({
    async save(artifacts) {
      const weightData = artifacts.weightData as ArrayBuffer;
      const { modelTopology, weightSpecs } = artifacts;
      const manifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      const json = { format: 'layers-model', modelTopology, weightsManifest: manifest };
      await writeFile(join(staging, 'model.json'), JSON.stringify(json));
      await writeFile(join(staging, 'weights.bin'), new Uint8Array(weightData));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    },
  });
  model.dispose();
  await writeFile(join(staging, 'labels.json'), JSON.stringify(labels));
  const spec = {
    source: { type: 'folder', model: 'model.json', labels: 'labels.json' },
    format: 'tfjs-layers',
    output: { activation: 'softmax' },
    input: { width: 6, height: 5, normalization: 'unit' },
    ...options.spec,
  };
  await writeFile(join(staging, 'model.json5'), JSON.stringify(spec));
  await mkdir(join(modelsDir, name), { recursive: true });
  for (const file of ['weights.bin', 'labels.json', 'model.json', 'model.json5']) {
    await rename(join(staging, file), join(modelsDir, name, file));
  }
}
