/** A whole Keras model of two dense layers, written as Keras 2 (.h5) or Keras 3 (.keras) does: large ones are not committed. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { File, type Group, ready } from 'h5wasm';
import { zip } from '../sources/zip.fixture.ts';

export interface DenseSizes {
  /** Of the image, which has three channels. */
  side: number;
  hidden: number;
  classes: number;
}

interface DenseLayer {
  name: string;
  rows: number;
  columns: number;
}

const denseLayers = ({ side, hidden, classes }: DenseSizes): DenseLayer[] => [
  { name: 'dense', rows: side * side * 3, columns: hidden },
  { name: 'dense_1', rows: hidden, columns: classes },
];

/** Small weights of both signs. */
export function makeWeights(rows: number, columns: number): Float32Array {
  const values = new Float32Array(rows * columns);
  // Not `Float32Array.from`, which takes seconds for so many.
  for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 1000) / 1e5 - 0.005;
  return values;
}

function modelConfig(sizes: DenseSizes, describe: (className: string, config: object) => object): object {
  const shape = [null, sizes.side, sizes.side, 3];
  const dense = (name: string, units: number, activation: string) =>
    describe('Dense', {
      ...{ name, trainable: true, dtype: 'float32', units, activation, use_bias: false },
      kernel_initializer: { class_name: 'GlorotUniform', config: { seed: null } },
      bias_initializer: { class_name: 'Zeros', config: {} },
    });
  const layers = [
    describe('InputLayer', { name: 'input', batch_input_shape: shape, dtype: 'float32', sparse: false, ragged: false }),
    describe('Flatten', { name: 'flatten', trainable: true, dtype: 'float32', data_format: 'channels_last' }),
    dense('dense', sizes.hidden, 'relu'),
    dense('dense_1', sizes.classes, 'softmax'),
  ];
  return describe('Sequential', { name: 'large', layers });
}

async function hdf5Bytes(fill: (file: File) => void): Promise<Uint8Array> {
  const { FS } = await ready;
  const file = new File('/written.h5', 'w');
  try {
    fill(file);
  } finally {
    file.close();
  }
  const bytes = FS.readFile('/written.h5') as Uint8Array;
  FS.unlink('/written.h5');
  return bytes;
}

function writeKernel(group: Group, name: string, layer: DenseLayer): void {
  group.create_dataset({
    name,
    data: makeWeights(layer.rows, layer.columns),
    shape: [layer.rows, layer.columns],
    dtype: '<f',
  });
}

/** As Keras 2 saves it. */
export async function writeH5(folder: string, sizes: DenseSizes): Promise<string> {
  const config = modelConfig(sizes, (class_name, config) => ({ class_name, config }));
  const layers = denseLayers(sizes);
  const bytes = await hdf5Bytes((file) => {
    file.create_attribute('keras_version', '2.15.0');
    file.create_attribute('backend', 'tensorflow');
    file.create_attribute('model_config', JSON.stringify(config));
    const weights = file.create_group('model_weights');
    weights.create_attribute(
      'layer_names',
      layers.map(({ name }) => name),
    );
    for (const layer of layers) {
      const group = weights.create_group(layer.name);
      group.create_attribute('weight_names', [`${layer.name}/kernel:0`]);
      writeKernel(group.create_group(layer.name), 'kernel:0', layer);
    }
  });
  const file = path.join(folder, 'large.h5');
  writeFileSync(file, bytes);
  return file;
}

/** As Keras 3 saves it. */
export async function writeKeras(folder: string, sizes: DenseSizes): Promise<string> {
  const config = modelConfig(sizes, (class_name, config) => ({
    module: class_name === 'Sequential' ? 'keras' : 'keras.layers',
    class_name,
    config,
    registered_name: null,
  }));
  const weights = await hdf5Bytes((file) => {
    const group = file.create_group('layers');
    for (const layer of denseLayers(sizes)) {
      writeKernel(group.create_group(layer.name).create_group('vars'), '0', layer);
    }
  });
  const file = path.join(folder, 'large.keras');
  const archive = zip([
    { name: 'metadata.json', data: JSON.stringify({ keras_version: '3.15.1' }) },
    { name: 'config.json', data: JSON.stringify(config).replace('batch_input_shape', 'batch_shape') },
    { name: 'model.weights.h5', data: weights },
  ]);
  writeFileSync(file, archive);
  return file;
}
