/** `models add` of models with several outputs. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeEach, describe, expect, test } from 'vitest';
import { saveLayersModel } from '../golden/harness.fixture.ts';
import { encodeTwoHeads } from '../golden/onnx-file.fixture.ts';
import { parseOutputRequests } from '../inspect/declared-outputs.ts';
import { addModel } from './add.ts';
import { compareWithTfjs } from './compare.ts';
import { filesOf, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();
let labels: string;
let colors: string;
beforeEach(async () => {
  labels = path.join(repository.root, 'labels.txt');
  colors = path.join(repository.root, 'colors.txt');
  await writeFile(labels, 'cat\ndog\nbird\nfish');
  await writeFile(colors, 'red\ngreen\nblue');
});

const printed = () => repository.printed.join('\n');

describe('an ONNX file', () => {
  let file: string;
  beforeEach(async () => {
    file = path.join(repository.root, 'net.onnx');
    await writeFile(file, encodeTwoHeads());
  });

  test('is served with the outputs that are asked for, and the others are reported', async () => {
    const outputs = parseOutputRequests(`color=labels:${colors},features=embedding`);
    const model = await addModel(file, { labels, outputs }, repository.context);
    expect(model.spec.output).toMatchObject({ name: 'kind', activation: 'softmax' });
    expect(model.outputs).toEqual([
      expect.objectContaining({ name: 'color', labels: ['red', 'green', 'blue'], activation: 'logits' }),
      { type: 'embedding', name: 'features', size: 8, from: 'features' },
    ]);
    expect(printed()).toMatch(/output color +labels, 3 names +given/);
    expect(printed()).toMatch(/output color: activation +logits +read/);
    expect(printed()).toMatch(/not served +grid \(8 x 8 x 8\) +read +--outputs grid=tensor serves it/);
  });

  test('gives tensors in their own shape and type, and numbers the classes of a head without names', async () => {
    const outputs = parseOutputRequests('grid=tensor, color=labels');
    const model = await addModel(file, { labels, outputs }, repository.context);
    expect(model.outputs).toContainEqual({
      type: 'tensor',
      name: 'grid',
      shape: [8, 8, 8],
      dtype: 'int32',
      from: 'grid',
    });
    expect(model.outputs).toContainEqual(expect.objectContaining({ labels: ['class 0', 'class 1', 'class 2'] }));
    expect(printed()).toMatch(/output color +labels, class 0 to class 2 +guessed/);
  });

  test('has no labels if --outputs names each output', async () => {
    const outputs = parseOutputRequests('kind=labels,color=labels,features=embedding,grid=tensor');
    const model = await addModel(file, { outputs }, repository.context);
    expect(model.labels).toEqual([]);
    expect(model.spec.source.labels).toBeUndefined();
    expect(model.outputs.map(({ name, type }) => [name, type])).toEqual([
      ['kind', 'labels'],
      ['color', 'labels'],
      ['features', 'embedding'],
      ['grid', 'tensor'],
    ]);
    // Each sample's answers are shown, so that a wrong normalization is seen.
    expect(printed()).toMatch(/chelsea\.png: no labels; outputs: .*\n {4}kind: class \d [\d.]+ %, class/);
    expect(printed()).toMatch(/\n {4}features: embedding, 8 numbers of length [\d.]+: [\d.-]+, [\d.-]+, [\d.-]+, …/);
    expect(printed()).toMatch(/\n {4}grid: tensor, 8 x 8 x 8: /);
  });

  test('reports every other output if none is asked for', async () => {
    const model = await addModel(file, { labels, output: 'kind' }, repository.context);
    expect(model.outputs).toEqual([]);
    for (const name of ['color', 'features', 'grid']) expect(printed()).toMatch(new RegExp(`not served +${name} \\(`));
  });

  test.each([
    ['size=embedding', 'kind', /--outputs: expected some of kind, color, features, grid, found size/],
    ['kind=labels', 'kind', /--outputs: kind has the labels already/],
    ['color=labels,color=embedding', 'kind', /--outputs: color is named twice/],
    ['kind=labels,color=labels,features=embedding,grid=tensor', undefined, /--labels: no output is left for it/],
    ['features=embedding:9', 'kind', /outputs\.features: .* has 8 numbers per image .*expected 9/],
    ['grid=tensor:8x', 'kind', /grid: expected sizes such as 512 or 7x7, found 8x/],
  ])('with --outputs %s is refused', async (text, output, message) => {
    const adding = addModel(file, { labels, output, outputs: parseOutputRequests(text) }, repository.context);
    await expect(adding).rejects.toThrow(message);
  });
});

const FLAGS = [
  [{ activation: 'sigmoid' }, '--activation: no output is left for it, since --outputs names each'],
  [{ output: 'size' }, '--output: no output is left for it, since --outputs names each'],
] as const;

test.each(FLAGS)('a flag about labels is refused if no output is left for them: %o', async (flag, message) => {
  const file = path.join(repository.root, 'net.onnx');
  await writeFile(file, encodeTwoHeads());
  const onnx = parseOutputRequests('kind=labels,color=labels,features=embedding,grid=tensor');
  await expect(addModel(file, { ...flag, outputs: onnx }, repository.context)).rejects.toThrow(message);
  const input = tf.input({ shape: [8, 8, 3] });
  const vector = tf.layers.globalAveragePooling2d({ name: 'vector' }).apply(input) as tf.SymbolicTensor;
  const folder = path.join(repository.root, 'vectors');
  await writeFiles(folder, await filesOf(tf.model({ inputs: input, outputs: vector })));
  const tfjs = parseOutputRequests('vector=embedding');
  await expect(addModel(folder, { ...flag, outputs: tfjs }, repository.context)).rejects.toThrow(message);
});

test.each(['', 'color', 'color=', '=labels', 'color=vector', 'a=labels,,b=tensor'])(
  'what --outputs cannot be says what was expected: %j',
  (text) => {
    expect(() => parseOutputRequests(text)).toThrow(/--outputs: expected name=labels/);
  },
);

test('a tfjs model is served with a head, a map and numbers under a name of the API', async () => {
  const input = tf.input({ shape: [8, 8, 3] });
  const map = tf.layers.conv2d({ name: 'map', filters: 5, kernelSize: 3, strides: 2 }).apply(input);
  const pooled = tf.layers.globalAveragePooling2d({ name: 'pooled/all' }).apply(map) as tf.SymbolicTensor;
  const dense = (name: string, units: number, activation: 'softmax' | 'sigmoid') =>
    tf.layers.dense({ name, units, activation }).apply(pooled) as tf.SymbolicTensor;
  const heads = [dense('kind', 4, 'softmax'), dense('safe', 1, 'sigmoid')];
  const files = await filesOf(tf.model({ inputs: input, outputs: [...heads, map as tf.SymbolicTensor, pooled] }));
  const folder = await writeFiles(path.join(repository.root, 'heads'), files);
  const outputs = parseOutputRequests('safe=labels,map=tensor,pooled/all=embedding');
  const model = await addModel(folder, { labels, outputs }, repository.context);
  expect(model.spec.output.name).toBe('kind');
  expect(model.outputs).toEqual([
    expect.objectContaining({ name: 'safe', labels: ['class 0', 'class 1'], activation: 'sigmoid' }),
    { type: 'tensor', name: 'map', shape: [3, 3, 5], dtype: 'float32', from: 'map' },
    { type: 'embedding', name: 'pooled_all', size: 5, from: 'pooled/all' },
  ]);
  expect(printed()).not.toContain('not served');
  // The spec is what a user reads and changes.
  const spec = await readFile(path.join(repository.context.modelsDir, 'heads', 'model.json5'), 'utf8');
  expect(spec).toContain("from: 'pooled/all'");

  const asked: string[] = [];
  repository.context.ask = async (question) => {
    asked.push(question);
    return 'kind';
  };
  const options = { name: 'asked', labels, normalization: 'unit' } as const;
  expect((await addModel(folder, options, repository.context)).spec.output.name).toBe('kind');
  expect(asked).toEqual([
    expect.stringContaining('which output has a score per class? kind (4), safe (1), pooled/all (5): '),
  ]);
});

test('outputs of a tfjs model are compared with those of tfjs, also if it has no labels', async () => {
  const files = async (bias: number) => {
    const input = tf.input({ shape: [8, 8, 3] });
    const map = tf.layers.conv2d({ name: 'map', filters: 5, kernelSize: 3 }).apply(input);
    const vector = tf.layers.globalAveragePooling2d({ name: 'vector' }).apply(map) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: [map as tf.SymbolicTensor, vector] });
    const saved = await filesOf(model);
    const weights = new Float32Array((saved['weights.bin'] as Uint8Array).slice().buffer);
    return { ...saved, 'weights.bin': new Uint8Array(weights.map((value) => value + bias).buffer) };
  };
  const outputs = parseOutputRequests('map=tensor,vector=embedding');
  const [first, second] = await Promise.all(
    [0, 0.01].map(async (bias, i) => {
      const folder = await writeFiles(path.join(repository.root, `vectors-${i}`), await files(bias));
      return addModel(folder, { outputs }, repository.context);
    }),
  );
  expect(printed()).toMatch(/compared with tfjs on 5 images: the largest difference is [\d.]+e-/);
  const mixed = { ...first!, tfjsPath: second!.tfjsPath };
  await expect(compareWithTfjs(mixed, repository.context)).rejects.toThrow(/differs from tfjs by/);
});

test('an output that has NaN is refused as such', async () => {
  const input = tf.input({ shape: [8, 8, 3] });
  const vector = tf.layers.globalAveragePooling2d({ name: 'vector' }).apply(input) as tf.SymbolicTensor;
  const scale = tf.layers.batchNormalization({ name: 'scaled', epsilon: 0 }).apply(vector) as tf.SymbolicTensor;
  const kind = tf.layers.dense({ name: 'kind', units: 4, activation: 'softmax' }).apply(vector) as tf.SymbolicTensor;
  const model = tf.model({ inputs: input, outputs: [kind, scale] });
  const saved = await filesOf(model);
  model.getLayer('scaled').setWeights([tf.ones([3]), tf.zeros([3]), tf.zeros([3]), tf.fill([3], -1)]);
  const { weightData } = await saveLayersModel(model);
  const files = { ...saved, 'weights.bin': new Uint8Array(weightData) };
  const folder = await writeFiles(path.join(repository.root, 'nan'), files);
  const adding = addModel(folder, { labels, outputs: parseOutputRequests('scaled=embedding') }, repository.context);
  await expect(adding).rejects.toThrow(/its output scaled has NaN or infinity: check the normalization/);
});
