import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { zip } from '../sources/zip.fixture.ts';
import { readSpec } from '../spec/spec-file.ts';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { listModels } from './command-context.ts';
import { compareWithTfjs } from './compare.ts';
import { printModels } from './list.ts';
import { removeModel } from './remove.ts';
import { filesOf, METADATA, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

/** As an export for a web page may name its weights. */
function nameByUrl(modelJson: string): string {
  return modelJson.replace('"weights.bin"', '"https://example.org/net/weights.bin?v=1"');
}

describe('models add', () => {
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

  test('detects what a model does with pixels before its first layer', async () => {
    const input = tf.input({ shape: [8, 8, 3] });
    const front = (scale: number, offset: number) => {
      const pixels = tf.layers.rescaling({ scale, offset }).apply(input);
      const conv = tf.layers.conv2d({ filters: 3, kernelSize: 3 }).apply(pixels);
      const pooled = tf.layers.globalAveragePooling2d({}).apply(conv);
      return tf.model({ inputs: input, outputs: tf.layers.dense({ units: 1 }).apply(pooled) as tf.SymbolicTensor });
    };
    const cases: [string, number, number, string][] = [
      ['bytes', 1 / 255, 0, 'none'],
      ['bytes-to-both-sides', 1 / 127.5, -1, 'none'],
      ['unit-to-both-sides', 2, -1, 'unit'],
    ];
    for (const [name, scale, offset, expected] of cases) {
      const folder = await writeFiles(path.join(repository.root, name), await filesOf(front(scale, offset)));
      const { spec } = await addModel(folder, {}, repository.context);
      expect(spec.input.normalization, name).toBe(expected);
      // A softmax of one number would always be one.
      expect(spec.output.activation).toBe('logits-sigmoid');
    }
  });

  test('asks which of several outputs to serve, and serves that one', async () => {
    const input = tf.input({ shape: [8, 8, 3] });
    const pooled = tf.layers.globalAveragePooling2d({}).apply(input) as tf.SymbolicTensor;
    const head = (name: string, units: number) =>
      tf.layers.dense({ name, units, activation: 'softmax' }).apply(pooled) as tf.SymbolicTensor;
    const files = await filesOf(tf.model({ inputs: input, outputs: [head('kind', 2), head('color', 4)] }));
    const folder = await writeFiles(path.join(repository.root, 'heads'), files);
    await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
      /2 outputs: choose one with --output: kind, color/,
    );
    await expect(addModel(folder, { output: 'size' }, repository.context)).rejects.toThrow(
      /--output: expected one of kind, color/,
    );
    const model = await addModel(folder, { output: 'color' }, repository.context);
    expect(model.classCount).toBe(4);
    expect(model.spec.output).toEqual({ activation: 'softmax', name: 'color' });
  });

  test('takes grayscale images without a dimension for their channel, and pixels in a row', async () => {
    const shapes: [string, number[], object][] = [
      ['rows', [8, 8], { width: 8, height: 8, channels: 1 }],
      ['row', [108], { width: 6, height: 6, channels: 3 }],
    ];
    for (const [name, inputShape, input] of shapes) {
      const answer = { units: 2, activation: 'softmax' } as const;
      const layers =
        name === 'row'
          ? [tf.layers.dense({ ...answer, inputShape })]
          : [tf.layers.flatten({ inputShape }), tf.layers.dense(answer)];
      const model = tf.sequential({ layers });
      const added = await addModel(
        await writeFiles(path.join(repository.root, name), await filesOf(model)),
        {},
        repository.context,
      );
      expect(added.spec.input).toMatchObject(input);
    }
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
      files['weights.bin'] = new Uint8Array(10_000);
      await expect(addModel(`${base}/model.json`, { name: 'long' }, repository.context)).rejects.toThrow(/longer than/);
      delete files['weights.bin'];
      await expect(addModel(`${base}/model.json`, { name: 'gone' }, repository.context)).rejects.toThrow(
        /answered 404/,
      );
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await listModels(repository.context.modelsDir)).toEqual(['hub']);
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
    const byUrl = { ...files, 'model.json': nameByUrl(String(files['model.json'])) };
    const model = await addModel(await writeFiles(path.join(repository.root, 'by-url'), byUrl), {}, repository.context);
    const [expected, written] = await Promise.all([plain, model].map(({ onnxPath = '' }) => readFile(onnxPath)));
    expect(written).toEqual(expected);
  });

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
        'no-room',
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
        { 'model.json': nameByUrl(String(files['model.json'])) },
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

  test('names the layer that the converter does not cover, and tries the model on the engine that runs everything', async () => {
    const recurrent = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [32, 32, 3], filters: 4, kernelSize: 3, strides: 2, activation: 'relu' }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.repeatVector({ n: 2 }),
        tf.layers.lstm({ units: 4 }),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    });
    const files: Record<string, string | Uint8Array> = { ...(await filesOf(recurrent)), 'labels.txt': 'a\nb\nc' };
    const model = await addModel(await writeFiles(path.join(repository.root, 'odd'), files), {}, repository.context);
    expect(model.onnxPath).toBeUndefined();
    expect(model.onnxUnavailable).toContain('RepeatVector');
    expect(repository.printed.join('\n')).toMatch(/RepeatVector.*\n.*chelsea\.png: [abc] \d/);
    const json = String(files['model.json']).replace('"RepeatVector"', '"CapsuleRouting"');
    const strange = await writeFiles(path.join(repository.root, 'strange'), { ...files, 'model.json': json });
    await expect(addModel(strange, {}, repository.context)).rejects.toThrow(
      /does not cover CapsuleRouting.*wasm.*CapsuleRouting/s,
    );
    expect(await listModels(repository.context.modelsDir)).toEqual(['odd']);
  });
});

test('a converted model whose answers differ from those of tfjs is rejected', async () => {
  const [one, two] = ['one', 'two'].map((name) => path.join(repository.root, name)) as [string, string];
  const first = await addModel(await writeFiles(one, await filesOf(network())), {}, repository.context);
  const other = network();
  const second = await addModel(
    await writeFiles(two, await filesOf(other)),
    { activation: 'sigmoid' },
    repository.context,
  );
  await expect(compareWithTfjs(first, repository.context)).resolves.toBeUndefined();
  // As if the converter had read another model.
  const wrong = { ...first, spec: { ...first.spec, input: { ...first.spec.input, normalization: 'tf' as const } } };
  await expect(compareWithTfjs(wrong, repository.context)).rejects.toThrow(/differs from tfjs by .*it is not added/);
  repository.printed.length = 0;
  await compareWithTfjs({ ...second, tfjsPath: path.join(repository.root, 'nowhere.json') }, repository.context);
  expect(repository.printed.join()).toMatch(/not compared with tfjs, which cannot run it/);
});
