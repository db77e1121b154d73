import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { encodeTwoHeads, TWO_HEADS_LABELS, TWO_HEADS_SPEC } from '../golden/onnx-file.fixture.ts';
import type { ModelRunner } from '../model-process/model-runner.ts';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { quantizeModel } from './quantize.ts';
import { filesOf, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

test('models quantize writes ranges next to the spec and reports on images that were not used for calibration', async () => {
  await addModel(await writeFiles(path.join(repository.root, 'net'), await filesOf(network())), {}, repository.context);
  const report = await quantizeModel('net', path.join(repository.context.modelsDir, 'samples'), repository.context);
  expect(report).toMatchObject({ images: 1 });
  const text = await readFile(path.join(repository.context.modelsDir, 'net/calibration.json'), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ images: 2 });
  expect(repository.printed.join('\n')).toMatch(/times as fast/);
});

test('models quantize refuses a version that agrees on too few images, and writes nothing', async () => {
  await addModel(await writeFiles(path.join(repository.root, 'net'), await filesOf(network())), {}, repository.context);
  const images = path.join(repository.context.modelsDir, 'samples');
  await expect(quantizeModel('net', images, repository.context, 1.01)).rejects.toThrow(
    /refused: int8 and float32 agree on \d+\.\d % of 1 images, less than 101\.0 %/,
  );
  expect(await readdir(path.join(repository.context.modelsDir, 'net'))).not.toContain('calibration.json');
});

test("models quantize calibrates on the project's samples if the models' folder has none", async () => {
  const { root, context } = repository;
  await addModel(await writeFiles(path.join(root, 'net'), await filesOf(network())), {}, context);
  await rm(path.join(context.modelsDir, 'samples'), { recursive: true });
  const samplesDir = path.join(root, 'samples');
  await mkdir(samplesDir);
  await expect(quantizeModel('net', undefined, { ...context, samplesDir })).rejects.toMatchObject({
    code: 'SOURCE_INVALID',
    message: `no images in ${path.join(context.modelsDir, 'samples')} and ${samplesDir} to calibrate on: pass --images`,
  });
  const sample = path.resolve(import.meta.dirname, '../../models/samples/coffee.png');
  await sharp(sample).resize(60).toFile(path.join(samplesDir, 'coffee.png'));
  const report = await quantizeModel('net', undefined, { ...context, samplesDir }, 0);
  // Views of the one sample.
  expect(report.images).toBeGreaterThan(1);
  expect(await readdir(path.join(context.modelsDir, 'net'))).toContain('calibration.json');
});

test.each([
  ['calibration', ['a.png', 'b.png']],
  ['measuring', ['b.png', 'a.png']],
])('models quantize unloads the models if an image for %s cannot be read', async (_, [broken = '', other = '']) => {
  const { root, context } = repository;
  await addModel(await writeFiles(path.join(root, 'net'), await filesOf(network())), {}, context);
  const images = await writeFiles(path.join(root, 'images'), { [broken]: 'not an image' });
  await cp(path.join(context.modelsDir, 'samples/coffee.png'), path.join(images, other));
  const loaded = new Set<string>();
  const runner: ModelRunner = {
    ...context.runner,
    async openOnnx(file, options) {
      const session = await context.runner.openOnnx(file, options);
      loaded.add(file);
      return {
        ...session,
        async release() {
          await session.release();
          loaded.delete(file);
        },
      };
    },
  };
  await expect(quantizeModel('net', images, { ...context, runner })).rejects.toThrow(broken);
  expect([...loaded]).toEqual([]);
});

test.each([
  ['code', 'brightness', 'brightness cannot be quantized: it is code; a tfjs model can'],
  ['an ONNX file', 'heads', /^heads cannot be quantized: it is an ONNX file \(.*\); a tfjs model can$/],
])('models quantize refuses %s, and says what it is', async (_, name, message) => {
  const { modelsDir } = repository.context;
  const examples = path.resolve(import.meta.dirname, '../../examples/models');
  await cp(path.join(examples, 'brightness'), path.join(modelsDir, 'brightness'), { recursive: true });
  await writeFiles(path.join(modelsDir, 'heads'), {
    'model.json5': JSON.stringify(TWO_HEADS_SPEC),
    'model.onnx': encodeTwoHeads(),
    'labels.json': JSON.stringify(TWO_HEADS_LABELS),
  });
  await expect(quantizeModel(name, undefined, repository.context)).rejects.toThrow(message);
});

/** A model of tfjs with one dense layer per output, behind a convolution. */
async function writeModel(
  name: string,
  units: readonly number[],
  spec: { labels?: string[]; output?: object; outputs?: object },
): Promise<string> {
  const image = tf.input({ shape: [32, 32, 3] });
  const convolution = tf.layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, activation: 'relu' }).apply(image);
  const pooled = tf.layers.globalAveragePooling2d({}).apply(convolution);
  const outputs = units.map((count, i) => {
    const activation = i === 0 ? 'sigmoid' : 'linear';
    return tf.layers.dense({ units: count, activation, name: `head${i}` }).apply(pooled) as tf.SymbolicTensor;
  });
  const { labels, ...rest } = spec;
  const input = { width: 32, height: 32, normalization: 'tf' };
  const source = { type: 'folder', model: 'model.json', ...(labels && { labels: 'labels.json' }) };
  return writeFiles(path.join(repository.context.modelsDir, name), {
    ...(await filesOf(tf.model({ inputs: image, outputs }))),
    ...(labels && { 'labels.json': JSON.stringify(labels) }),
    'model.json5': JSON.stringify({ source, format: 'tfjs-layers', input, ...rest }),
  });
}

test('models quantize measures every output, and the model is then prepared in int8 with all of them', async () => {
  const spec = {
    labels: ['cat', 'dog', 'bird'],
    output: { name: 'head0', activation: 'sigmoid' },
    outputs: { vector: { type: 'embedding', size: 8, from: 'head1' } },
  };
  const modelDir = await writeModel('two', [3, 8], spec);
  const images = path.join(repository.context.modelsDir, 'samples');
  const report = await quantizeModel('two', images, repository.context, 0);
  expect(report.outputChanges.vector).toBeGreaterThan(0);
  expect(report.outputChanges.vector).toBeLessThan(1);
  expect(repository.printed.join('\n')).toMatch(/same labels +\d+\.0 %/);
  expect(repository.printed.join('\n')).toMatch(/\d % of the largest number of vector/);
  const json5 = JSON.parse(await readFile(path.join(modelDir, 'model.json5'), 'utf8')) as object;
  await writeFiles(modelDir, { 'model.json5': JSON.stringify({ ...json5, precision: 'int8' }) });
  expect(await checkModels(['two'], repository.context)).toBe(0);
});

test('models quantize says that a model without labels has nothing to compare', async () => {
  const outputs = { vector: { type: 'embedding', size: 8, from: 'head0' } };
  await writeModel('plain', [8], { output: { activation: 'sigmoid' }, outputs });
  await expect(quantizeModel('plain', undefined, repository.context)).rejects.toThrow(
    'plain cannot be quantized: it has no labels, by which int8 and float32 are compared',
  );
});
