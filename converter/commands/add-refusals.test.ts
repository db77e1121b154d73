/** `models add` of files that are not a model, are damaged or not complete. */
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { encodeModel } from '../onnx-writer/graph/encode-onnx.ts';
import { BATCH } from '../onnx-writer/graph/graph.ts';
import { addModel } from './add.ts';
import { listModels } from './command-context.ts';
import { filesOf, nameWeightsByUrl, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

test('adds nothing if the model cannot be read', async () => {
  const files = await filesOf(network());
  const input = tf.input({ shape: [8, 8, 3] });
  const pooled = tf.layers.globalAveragePooling2d({}).apply(input);
  const heads = [2, 4].map((units) => tf.layers.dense({ units }).apply(pooled) as tf.SymbolicTensor);
  const { 'model.json': twoHeads } = await filesOf(tf.model({ inputs: input, outputs: heads }));
  const cases: [string, Record<string, string | Uint8Array>, RegExp][] = [
    ['no-model', { 'readme.txt': '' }, /expected one model\.json, \.onnx, \.keras or \.h5 file, found none/],
    ['no-weights', { 'model.json': files['model.json'] ?? '' }, /weights\.bin is missing/],
    ['short', { ...files, 'weights.bin': 'abc' }, /hold 3 bytes, the manifest says/],
    ['no-json', { 'model.json': '{' }, /is not JSON/],
    [
      'leaves',
      { 'model.json': String(files['model.json']).replace('weights.bin', '../../etc/passwd') },
      /inside the folder/,
    ],
    [
      'absurd',
      { 'model.json': String(files['model.json']).replace(/"shape":\[[^\]]*\]/, '"shape":[400000,400000]') },
      /believable/,
    ],
    [
      'again',
      { ...files, 'model.json': String(files['model.json']).replace(/"paths":\["([^"]*)"\]/, '"paths":["$1","$1"]') },
      /lists weight file weights\.bin twice/,
    ],
    [
      'too-small',
      { ...files, 'model.json': String(files['model.json']).replaceAll('[null,32,32,3]', '[null,2,2,3]') },
      /would make a tensor of 4 x 0 x 0|would make a tensor of 0 x 0 x 4/,
    ],
    [
      'no-manifest',
      { 'model.json': JSON.stringify({ ...JSON.parse(String(files['model.json'])), weightsManifest: [] }) },
      /names no weights: save the model once more together with its weights/,
    ],
    [
      'no-manifest-of-several-outputs',
      { 'model.json': JSON.stringify({ ...JSON.parse(String(twoHeads)), weightsManifest: [] }) },
      /names no weights: save the model once more together with its weights/,
    ],
    [
      'elsewhere',
      { 'model.json': nameWeightsByUrl(String(files['model.json'])) },
      /names weight files by URL, such as https:\/\/example\.org\/net\/weights\.bin\?v=1: download the weight files next to it/,
    ],
    [
      'no-layers',
      { 'model.json': JSON.stringify(JSON.parse(String(files['model.json'])).weightsManifest) },
      /lists weights of a model whose layers are in code: save it with tfjs' model\.save, or serve it with that code/,
    ],
    ['no-onnx', { 'model.onnx': 'what', 'labels.txt': 'a\nb' }, /not an ONNX model|no graph/],
    ['labels', { ...files, 'labels.txt': 'a\nb' }, /names 2 classes, the model has 3/],
  ];
  for (const [name, content, message] of cases) {
    const folder = await writeFiles(path.join(repository.root, name), content);
    await expect(addModel(folder, {}, repository.context), name).rejects.toThrow(message);
  }
  await expect(addModel(path.join(repository.root, 'nowhere'), {}, repository.context)).rejects.toThrow(
    /no such folder/,
  );
  await expect(addModel('npm:what', {}, repository.context)).rejects.toThrow(/expected npm:<package>@<version>#/);
  const latest = addModel('npm:what@latest#model.json', {}, repository.context);
  await expect(latest).rejects.toThrow(/version: expected an exact version/);
  const outside = addModel('npm:what@1.0.0#../../model.json', {}, repository.context);
  await expect(outside).rejects.toThrow(/model: expected a relative path/);
  expect(await listModels(repository.context.modelsDir)).toEqual([]);
  expect((await readdir(repository.context.stateDir)).filter((name) => name.startsWith('adding'))).toEqual([]);
});

test('a model with several inputs is refused with what to do', async () => {
  const image = tf.input({ shape: [8, 8, 3], name: 'image' });
  const age = tf.input({ shape: [1], name: 'age' });
  const pooled = tf.layers.globalAveragePooling2d({}).apply(image) as tf.SymbolicTensor;
  const both = tf.layers.concatenate().apply([pooled, age]) as tf.SymbolicTensor;
  const outputs = tf.layers.dense({ units: 3, activation: 'softmax' }).apply(both) as tf.SymbolicTensor;
  const files = await filesOf(tf.model({ inputs: [image, age], outputs, name: 'net' }));
  const folder = await writeFiles(path.join(repository.root, 'net'), files);
  const message = 'model net has 2 inputs (image, age): a request has one image. Save a model that takes only that';
  await expect(addModel(folder, {}, repository.context)).rejects.toThrow(message);
  const step = (op: string, inputs: string[], output: string) => ({ op, inputs, outputs: [output], attributes: {} });
  const nodes = [step('GlobalAveragePool', ['image'], 'pooled'), step('Add', ['pooled', 'age'], 'scores')];
  const port = (name: string, shape: number[]) => ({ name, type: 'float32' as const, shape: [BATCH, ...shape] });
  const graph = {
    nodes,
    constants: new Map(),
    inputs: [port('image', [3, 8, 8]), port('age', [1, 1, 1])],
    outputs: [port('scores', [3, 1, 1])],
  };
  const file = path.join(repository.root, 'net.onnx');
  await writeFile(file, encodeModel(graph, 'net'));
  await expect(addModel(file, {}, repository.context)).rejects.toThrow(
    'the ONNX file must have one input, an image; it has: image, age; a request has one image. Save a model',
  );
});
