/** `models add`, from each kind of source, and in place of another model. */
import { readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { zip } from '../sources/zip.fixture.ts';
import { readSpec } from '../spec/spec-file.ts';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { listModels } from './command-context.ts';
import { printModels } from './list.ts';
import { removeModel } from './remove.ts';
import { filesOf, METADATA, nameWeightsByUrl, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

test("takes Teachable Machine's zip as it is downloaded, with its labels, crop and normalization", async () => {
  const files = { ...(await filesOf(network())), 'metadata.json': METADATA };
  const archive = path.join(repository.root, 'converted_keras.zip');
  await writeFile(archive, zip(Object.entries(files).map(([name, data]) => ({ name, data }))));
  const model = await addModel(archive, { name: 'hands' }, repository.context);
  expect(model.labels).toEqual(['one', 'two', 'three']);
  expect(model.cam).toHaveProperty('featuresOutput');
  const { spec } = await readSpec(path.join(repository.context.modelsDir, 'hands'));
  // What Teachable Machine's code does: pixels / 127 - 1.
  const normalization = { scale: 1 / 127, mean: [1], std: [1], order: 'rgb' };
  expect(spec.input).toMatchObject({ width: 32, height: 32, shortSide: 32, resize: 'canvas', normalization });
  expect(repository.printed.join('\n')).toMatch(/ resize +canvas +read +Teachable Machine.s metadata\.json/);
  expect(spec.output.activation).toBe('softmax');
  expect(repository.printed.join('\n')).toMatch(/chelsea\.png: (one|two|three) \d/);
  expect(repository.printed.join('\n')).toMatch(
    /compared with tfjs on 5 images: the largest difference is [\d.]+e-(8|7|6)/,
  );
  expect(await readdir(repository.context.stateDir)).toEqual(['models']);
});

test("takes labels, but no crop and no normalization, from a metadata.json that is not Teachable Machine's", async () => {
  const names = { labels: ['one', 'two', 'three'], imageSize: 224, modelName: 'x', tfjsVersion: '1.3.1' };
  const cases: [string, string, string[]][] = [
    ['named', JSON.stringify(names), names.labels],
    ['strange', '[]', ['class 0', 'class 1', 'class 2']],
  ];
  for (const [name, text, labels] of cases) {
    const files = { ...(await filesOf(network())), 'metadata.json': text };
    const model = await addModel(await writeFiles(path.join(repository.root, name), files), {}, repository.context);
    expect(model.labels).toEqual(labels);
    expect(model.spec.input).toMatchObject({ width: 32, height: 32, normalization: 'unit' });
    expect(model.spec.input.shortSide).toBeUndefined();
  }
  const pose = {
    ...(await filesOf(network())),
    'metadata.json': METADATA.replace('{', '{"packageName":"@teachablemachine/pose",'),
  };
  await expect(
    addModel(await writeFiles(path.join(repository.root, 'pose'), pose), {}, repository.context),
  ).rejects.toThrow(/pose.*only/);
});

test('puts back a model whose replacement was killed halfway, and removes what is left of a finished one', async () => {
  const { modelsDir } = repository.context;
  const madeAt = new Date(Date.now() - 3_600_000);
  const leave = async (name: string) => {
    const folder = await writeFiles(path.join(modelsDir, name), { 'model.json5': name });
    await utimes(folder, madeAt, madeAt);
  };
  // A process of the container before this one had the same id.
  await leave(`.replaced-${process.pid}-00000001-moved`);
  await leave(`.replaced-${process.pid}-00000002-net`);
  await leave(`.staging-${process.pid}-00000003`);
  await leave('net');
  const folder = await writeFiles(path.join(repository.root, 'other'), await filesOf(network()));
  await addModel(folder, {}, repository.context);
  expect((await readdir(modelsDir)).sort()).toEqual(['moved', 'net', 'other', 'repository.json5', 'samples']);
  expect(await readFile(path.join(modelsDir, 'moved', 'model.json5'), 'utf8')).toMatch(/-moved$/);
  expect(await readFile(path.join(modelsDir, 'net', 'model.json5'), 'utf8')).toBe('net');
});

test('keeps what else is in a folder of the repository that it turns into a model', async () => {
  const { context } = repository;
  const folder = path.join(context.modelsDir, 'net');
  const files = { ...(await filesOf(network())), 'train.ipynb': 'mine' };
  await writeFiles(folder, files);
  await writeFiles(path.join(folder, 'runs'), { 'log.txt': 'mine, too' });
  for (const source of [folder, path.join(folder, 'model.json')]) {
    await addModel(source, { name: 'net', replace: true, normalization: 'tf' }, context);
    expect((await readSpec(folder)).spec.input.normalization).toBe('tf');
    expect(await readFile(path.join(folder, 'train.ipynb'), 'utf8')).toBe('mine');
    expect(await readFile(path.join(folder, 'runs', 'log.txt'), 'utf8')).toBe('mine, too');
  }
  const elsewhere = await writeFiles(path.join(repository.root, 'elsewhere'), files);
  await symlink(elsewhere, path.join(context.modelsDir, 'linked'));
  await addModel(path.join(context.modelsDir, 'linked'), { replace: true }, context);
  expect((await readdir(elsewhere)).sort()).toEqual(Object.keys(files).sort());
});

test('takes a folder, detects logits, numbers the classes without names, and can be listed, checked and removed', async () => {
  const folder = await writeFiles(path.join(repository.root, 'My Net'), await filesOf(network('linear', 4)));
  const model = await addModel(folder, {}, repository.context);
  expect(model).toMatchObject({ name: 'my-net', labels: ['class 0', 'class 1', 'class 2', 'class 3'] });
  expect(model.spec.output.activation).toBe('logits');
  expect(await listModels(repository.context.modelsDir)).toEqual(['my-net']);
  expect(await checkModels([], repository.context)).toBe(0);
  repository.printed.length = 0;
  await printModels(repository.context);
  expect(repository.printed.join()).toMatch(/my-net +tfjs-layers +32x32x3 +float32 +folder/);
  await removeModel('my-net', repository.context);
  expect(await listModels(repository.context.modelsDir)).toEqual([]);
  await expect(removeModel('../state', repository.context)).rejects.toThrow(/no model/);
});

test('takes the URL of a model.json, and keeps its query for the weights', async () => {
  const files: Record<string, string | Uint8Array> = {
    ...(await filesOf(network('sigmoid'))),
    'metadata.json': METADATA,
  };
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const data = files[new URL(request.url ?? '', 'http://host').pathname.slice('/hub/'.length)];
    response.writeHead(data ? 200 : 404).end(data);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hub`;
    const model = await addModel(`${base}/model.json?tfjs-format=file`, { name: 'hub' }, repository.context);
    expect(model.spec.output.activation).toBe('sigmoid');
    expect(asked).toContain('/hub/weights.bin?tfjs-format=file');
    files['metadata.json'] = '<!doctype html><title>A page for every path</title>';
    const { labels } = await addModel(`${base}/model.json`, { name: 'page' }, repository.context);
    expect(labels).toEqual(['class 0', 'class 1', 'class 2']);
    files['weights.bin'] = new Uint8Array(10_000);
    await expect(addModel(`${base}/model.json`, { name: 'long' }, repository.context)).rejects.toThrow(/longer than/);
    delete files['weights.bin'];
    await expect(addModel(`${base}/model.json`, { name: 'gone' }, repository.context)).rejects.toThrow(/answered 404/);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  expect(await listModels(repository.context.modelsDir)).toEqual(['hub', 'page']);
});

test('replaces a model by another version only with --replace', async () => {
  const first = await writeFiles(path.join(repository.root, 'first'), await filesOf(network('softmax', 2)));
  const second = await writeFiles(path.join(repository.root, 'second'), await filesOf(network('softmax', 5)));
  const before = await addModel(first, { name: 'net' }, repository.context);
  await expect(addModel(second, { name: 'net' }, repository.context)).rejects.toThrow(/--replace/);
  const after = await addModel(second, { name: 'net', replace: true }, repository.context);
  expect(after.version).not.toBe(before.version);
  expect(after.classCount).toBe(5);
  expect((await readdir(repository.context.modelsDir)).sort()).toEqual(['net', 'repository.json5', 'samples']);
});

test('never replaces a folder that is not a model, such as the samples', async () => {
  const { context, root } = repository;
  const source = await writeFiles(path.join(root, 'net'), await filesOf(network()));
  await writeFiles(path.join(context.modelsDir, 'notes'), { 'notes.txt': 'mine' });
  const list = async () => (await readdir(context.modelsDir, { recursive: true })).sort();
  const before = await list();
  for (const name of ['samples', 'notes']) {
    for (const replace of [false, true]) {
      await expect(addModel(source, { name, replace }, context)).rejects.toThrow(/is not a model, .*another --name/);
    }
  }
  expect(await list()).toEqual(before);
});

test('finds weights that the model names by URL and that were downloaded next to it', async () => {
  const files = await filesOf(network());
  const plain = await addModel(await writeFiles(path.join(repository.root, 'plain'), files), {}, repository.context);
  const byUrl = { ...files, 'model.json': nameWeightsByUrl(String(files['model.json'])) };
  const model = await addModel(await writeFiles(path.join(repository.root, 'by-url'), byUrl), {}, repository.context);
  const [expected, written] = await Promise.all([plain, model].map(({ onnxPath = '' }) => readFile(onnxPath)));
  expect(written).toEqual(expected);
});
