/** A small model, as most users of TensorFlow.js have: with it, most of the cost is outside the model. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';

export const SMALL_MODEL = 'mobilenetv2';
const SIDE = 224;
const CLASSES = 1_000;
/** Expansion, channels, repetitions and first stride of MobileNetV2's blocks. */
const BLOCKS = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

type Tensor = tf.SymbolicTensor;
const apply = (layer: tf.layers.Layer, input: Tensor | Tensor[]): Tensor => layer.apply(input) as Tensor;
const norm = (x: Tensor) => apply(tf.layers.batchNormalization({ epsilon: 1e-3 }), x);
const relu6 = (x: Tensor) => apply(tf.layers.reLU({ maxValue: 6 }), norm(x));
const conv = (x: Tensor, filters: number, kernelSize: number, strides = 1) =>
  apply(tf.layers.conv2d({ filters, kernelSize, strides, padding: 'same', useBias: false }), x);

function block(x: Tensor, expansion: number, filters: number, strides: number): Tensor {
  const channels = x.shape[3]!;
  const expanded = expansion === 1 ? x : relu6(conv(x, channels * expansion, 1));
  const depthwise = tf.layers.depthwiseConv2d({ kernelSize: 3, strides, padding: 'same', useBias: false });
  const projected = norm(conv(relu6(apply(depthwise, expanded)), filters, 1));
  return strides === 1 && channels === filters ? apply(tf.layers.add(), [x, projected]) : projected;
}

function buildMobileNetV2(): tf.LayersModel {
  const image = tf.input({ shape: [SIDE, SIDE, 3] });
  let x = relu6(conv(image, 32, 3, 2));
  for (const [expansion, filters, repetitions, strides] of BLOCKS) {
    for (let i = 0; i < repetitions; i++) x = block(x, expansion, filters, i === 0 ? strides : 1);
  }
  const features = apply(tf.layers.globalAveragePooling2d({}), relu6(conv(x, 1280, 1)));
  return tf.model({
    inputs: image,
    outputs: apply(tf.layers.dense({ units: CLASSES, activation: 'softmax' }), features),
  });
}

/**
 * Writes a MobileNetV2 of 224 pixels and 1,000 classes with random weights into a model repository, once.
 * @returns the folder of its spec
 */
export async function writeSmallModel(modelsDir: string): Promise<string> {
  const folder = join(modelsDir, SMALL_MODEL);
  const fresh = `${folder}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  await tf.setBackend('cpu');
  const model = buildMobileNetV2();
  await model.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      writeFileSync(
        join(fresh, 'model.json'),
        JSON.stringify({ format: 'layers-model', modelTopology, weightsManifest }),
      );
      writeFileSync(join(fresh, 'weights.bin'), new Uint8Array(weightData as ArrayBuffer));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' as const } };
    }),
  );
  model.dispose();
  writeFileSync(join(fresh, 'labels.json'), JSON.stringify(Array.from({ length: CLASSES }, (_, i) => `class ${i}`)));
  const input = { width: SIDE, height: SIDE, shortSide: 256, resize: 'pillow-bilinear', normalization: 'tf' };
  const source = { type: 'folder', model: 'model.json', labels: 'labels.json' };
  const spec = { source, format: 'tfjs-layers', input, output: { activation: 'softmax' } };
  writeFileSync(join(fresh, 'model.json5'), JSON.stringify(spec));
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
  return folder;
}
