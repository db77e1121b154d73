/** `models add` of files that are not a model, are damaged or not complete. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { addModel } from './add.ts';
import { listModels } from './command-context.ts';
import { filesOf, nameWeightsByUrl, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

test('adds nothing if the model cannot be read', async () => {
  const files = await filesOf(network());
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
      'elsewhere',
      { 'model.json': nameWeightsByUrl(String(files['model.json'])) },
      /names weight files by URL, such as https:\/\/example\.org\/net\/weights\.bin\?v=1: download the weight files next to it/,
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
