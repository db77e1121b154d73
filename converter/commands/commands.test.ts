import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomizeWeights, saveLayersModel, type TestModel } from '../golden/harness.fixture.ts';
import { unpackZip } from '../sources/zip.ts';
import { readSpec } from '../spec.ts';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { type CommandContext, listModels } from './command-context.ts';
import { compareWithTfjs } from './compare.ts';
import { quantizeModel } from './quantize.ts';
import { printModels, removeModel } from './repository.ts';

const SAMPLES = path.resolve(import.meta.dirname, '../../models/samples');

let root: string;
let context: CommandContext;
let printed: string[];

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-commands-'));
  printed = [];
  context = {
    modelsDir: path.join(root, 'models'),
    stateDir: path.join(root, 'state'),
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
  };
  await cp(SAMPLES, path.join(context.modelsDir, 'samples'), { recursive: true });
});

afterEach(() => rm(root, { recursive: true, force: true }));

function network(activation: 'softmax' | 'linear' | 'sigmoid' = 'softmax', units = 3): tf.LayersModel {
  const trunk = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [32, 32, 3], filters: 4, kernelSize: 3, strides: 2, activation: 'relu' }),
      tf.layers.globalAveragePooling2d({}),
    ],
  });
  const head = tf.sequential({ layers: [tf.layers.dense({ inputShape: [4], units, activation })] });
  return tf.sequential({ layers: [trunk, head] });
}

async function filesOf(model: tf.LayersModel): Promise<Record<string, string | Uint8Array>> {
  randomizeWeights(model);
  const saved: TestModel = await saveLayersModel(model);
  return { 'model.json': JSON.stringify(saved.modelJson), 'weights.bin': new Uint8Array(saved.weightData) };
}

const METADATA = JSON.stringify({
  tfjsVersion: '1.3.1',
  tmVersion: '2.4.7',
  labels: ['one', 'two', 'three'],
  imageSize: 32,
});

async function writeFiles(folder: string, files: Record<string, string | Uint8Array>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, data] of Object.entries(files)) await writeFile(path.join(folder, name), data);
  return folder;
}

/** A zip archive, stored, with any name and any mode: hostile ones are easier to write than to find. */
function zip(entries: { name: string; data: string | Uint8Array; mode?: number }[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, mode = 0o100644 } of entries) {
    const bytes = Buffer.from(data);
    const nameBytes = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt32LE(crc32(bytes), 10);
    fields.writeUInt32LE(bytes.length, 14);
    fields.writeUInt32LE(bytes.length, 18);
    fields.writeUInt16LE(nameBytes.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, nameBytes, bytes]);
    const more = Buffer.alloc(14);
    more.writeUInt32LE((mode << 16) >>> 0, 6);
    more.writeUInt32LE(offset, 10);
    const madeBy = Buffer.from([20, 3]);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02'), madeBy, fields, more, nameBytes]));
    files.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...files, central, Buffer.from('PK\x05\x06'), end]);
}

describe('models add', () => {
  test("takes Teachable Machine's zip as it is downloaded: labels, crop and normalisation included", async () => {
    const files = { ...(await filesOf(network())), 'metadata.json': METADATA };
    const archive = path.join(root, 'converted_keras.zip');
    await writeFile(archive, zip(Object.entries(files).map(([name, data]) => ({ name, data }))));
    const model = await addModel(archive, { name: 'hands' }, context);
    expect(model.labels).toEqual(['one', 'two', 'three']);
    expect(model.cam).toHaveProperty('featuresOutput');
    const { spec } = await readSpec(path.join(context.modelsDir, 'hands'));
    // What Teachable Machine's code does: pixels / 127 - 1.
    const normalization = { scale: 1 / 127, mean: [1], std: [1], order: 'rgb' };
    expect(spec.input).toMatchObject({ width: 32, height: 32, shortSide: 32, resize: 'canvas', normalization });
    expect(printed.join('\n')).toMatch(/ resize +canvas +read +Teachable Machine.s metadata\.json/);
    expect(spec.output.activation).toBe('softmax');
    expect(printed.join('\n')).toMatch(/chelsea\.png: (one|two|three) \d/);
    expect(printed.join('\n')).toMatch(/compared with tfjs on 5 images: the largest difference is [\d.]+e-(8|7|6)/);
    expect(await readdir(context.stateDir)).toEqual(['models']);
  });

  test("takes labels, but no crop and no normalization, from a metadata.json that is not Teachable Machine's", async () => {
    const names = { labels: ['one', 'two', 'three'], imageSize: 224, modelName: 'x', tfjsVersion: '1.3.1' };
    const cases: [string, string, string[]][] = [
      ['named', JSON.stringify(names), names.labels],
      ['strange', '[]', ['class 0', 'class 1', 'class 2']],
    ];
    for (const [name, text, labels] of cases) {
      const files = { ...(await filesOf(network())), 'metadata.json': text };
      const model = await addModel(await writeFiles(path.join(root, name), files), {}, context);
      expect(model.labels).toEqual(labels);
      expect(model.spec.input).toMatchObject({ width: 32, height: 32, normalization: 'unit' });
      expect(model.spec.input.shortSide).toBeUndefined();
    }
    const pose = {
      ...(await filesOf(network())),
      'metadata.json': METADATA.replace('{', '{"packageName":"@teachablemachine/pose",'),
    };
    await expect(addModel(await writeFiles(path.join(root, 'pose'), pose), {}, context)).rejects.toThrow(/pose.*only/);
  });

  test('sees what a model does with pixels before its first layer', async () => {
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
      const folder = await writeFiles(path.join(root, name), await filesOf(front(scale, offset)));
      const { spec } = await addModel(folder, {}, context);
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
    const folder = await writeFiles(path.join(root, 'heads'), files);
    await expect(addModel(folder, {}, context)).rejects.toThrow(/2 outputs: choose one with --output: kind, color/);
    await expect(addModel(folder, { output: 'size' }, context)).rejects.toThrow(
      /--output: expected one of kind, color/,
    );
    const model = await addModel(folder, { output: 'color' }, context);
    expect(model.classCount).toBe(4);
    expect(model.spec.output).toEqual({ activation: 'softmax', name: 'color' });
  });

  test('takes grey images without a dimension for their channel, and pixels in a row', async () => {
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
      const added = await addModel(await writeFiles(path.join(root, name), await filesOf(model)), {}, context);
      expect(added.spec.input).toMatchObject(input);
    }
  });

  test('takes a folder, sees logits, numbers the classes that have no names, and can be listed, checked and removed', async () => {
    const folder = await writeFiles(path.join(root, 'My Net'), await filesOf(network('linear', 4)));
    const model = await addModel(folder, {}, context);
    expect(model).toMatchObject({ name: 'my-net', labels: ['class 0', 'class 1', 'class 2', 'class 3'] });
    expect(model.spec.output.activation).toBe('logits');
    expect(await listModels(context.modelsDir)).toEqual(['my-net']);
    expect(await checkModels([], context)).toBe(0);
    printed.length = 0;
    await printModels(context);
    expect(printed.join()).toMatch(/my-net +tfjs-layers +32x32x3 +float32 +folder/);
    await removeModel('my-net', context);
    expect(await listModels(context.modelsDir)).toEqual([]);
    await expect(removeModel('../state', context)).rejects.toThrow(/no model/);
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
      const model = await addModel(`${base}/model.json?tfjs-format=file`, { name: 'hub' }, context);
      expect(model.spec.output.activation).toBe('sigmoid');
      expect(asked).toContain('/hub/weights.bin?tfjs-format=file');
      files['weights.bin'] = new Uint8Array(10_000);
      await expect(addModel(`${base}/model.json`, { name: 'long' }, context)).rejects.toThrow(/longer than/);
      delete files['weights.bin'];
      await expect(addModel(`${base}/model.json`, { name: 'gone' }, context)).rejects.toThrow(/answered 404/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await listModels(context.modelsDir)).toEqual(['hub']);
  });

  test('puts another version in the place of a model only when told to', async () => {
    const first = await writeFiles(path.join(root, 'first'), await filesOf(network('softmax', 2)));
    const second = await writeFiles(path.join(root, 'second'), await filesOf(network('softmax', 5)));
    const before = await addModel(first, { name: 'net' }, context);
    await expect(addModel(second, { name: 'net' }, context)).rejects.toThrow(/--replace/);
    const after = await addModel(second, { name: 'net', replace: true }, context);
    expect(after.version).not.toBe(before.version);
    expect(after.classCount).toBe(5);
    expect((await readdir(context.modelsDir)).sort()).toEqual(['net', 'repository.json5', 'samples']);
  });

  test('adds nothing when the model cannot be read', async () => {
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
      ['no-onnx', { 'model.onnx': 'what', 'labels.txt': 'a\nb' }, /not an ONNX model|no graph/],
      ['labels', { ...files, 'labels.txt': 'a\nb' }, /names 2 classes, the model has 3/],
    ];
    for (const [name, content, message] of cases) {
      const folder = await writeFiles(path.join(root, name), content);
      await expect(addModel(folder, {}, context), name).rejects.toThrow(message);
    }
    await expect(addModel(path.join(root, 'nowhere'), {}, context)).rejects.toThrow(/no such folder/);
    await expect(addModel('npm:what', {}, context)).rejects.toThrow(/expected npm:<package>@<version>#/);
    const latest = addModel('npm:what@latest#model.json', {}, context);
    await expect(latest).rejects.toThrow(/version: expected an exact version/);
    const outside = addModel('npm:what@1.0.0#../../model.json', {}, context);
    await expect(outside).rejects.toThrow(/model: expected a relative path/);
    expect(await listModels(context.modelsDir)).toEqual([]);
    expect((await readdir(context.stateDir)).filter((name) => name.startsWith('adding'))).toEqual([]);
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
    const model = await addModel(await writeFiles(path.join(root, 'odd'), files), {}, context);
    expect(model.onnxPath).toBeUndefined();
    expect(model.onnxUnavailable).toContain('RepeatVector');
    expect(printed.join('\n')).toMatch(/RepeatVector.*\n.*chelsea\.png: [abc] \d/);
    const json = String(files['model.json']).replace('"RepeatVector"', '"CapsuleRouting"');
    const strange = await writeFiles(path.join(root, 'strange'), { ...files, 'model.json': json });
    await expect(addModel(strange, {}, context)).rejects.toThrow(
      /does not cover CapsuleRouting.*wasm.*CapsuleRouting/s,
    );
    expect(await listModels(context.modelsDir)).toEqual(['odd']);
  });
});

test('a converted model that answers something else than tfjs is not accepted', async () => {
  const [one, two] = ['one', 'two'].map((name) => path.join(root, name)) as [string, string];
  const first = await addModel(await writeFiles(one, await filesOf(network())), {}, context);
  const other = network();
  const second = await addModel(await writeFiles(two, await filesOf(other)), { activation: 'sigmoid' }, context);
  await expect(compareWithTfjs(first, context)).resolves.toBeUndefined();
  // As if the converter had read another model.
  const wrong = { ...first, spec: { ...first.spec, input: { ...first.spec.input, normalization: 'tf' as const } } };
  await expect(compareWithTfjs(wrong, context)).rejects.toThrow(/differs from tfjs by .*it is not added/);
  printed.length = 0;
  await compareWithTfjs({ ...second, tfjsPath: path.join(root, 'nowhere.json') }, context);
  expect(printed.join()).toMatch(/not compared with tfjs, which does not run it/);
});

describe('a hostile zip', () => {
  test.each([
    ['that leaves its folder', [{ name: '../outside.txt', data: 'x' }], /invalid relative path/],
    ['that leaves it later', [{ name: 'a/../../outside.txt', data: 'x' }], /invalid relative path/],
    ['with an absolute path', [{ name: '/tmp/outside.txt', data: 'x' }], /absolute path/],
    ['with backslashes', [{ name: '..\\outside.txt', data: 'x' }], /invalid characters/],
    ['with a link', [{ name: 'link', data: '/etc/passwd', mode: 0o120777 }], /is a link/],
    [
      'with one file twice',
      [
        { name: 'a', data: 'x' },
        { name: 'a', data: 'y' },
      ],
      /EEXIST/,
    ],
  ])('%s is refused', async (_, entries, message) => {
    const archive = path.join(root, 'hostile.zip');
    await writeFile(archive, zip(entries));
    await expect(unpackZip(archive, path.join(root, 'in'))).rejects.toThrow(message);
    expect((await readdir(root)).filter((name) => name.startsWith('outside'))).toEqual([]);
  });

  test('that says it is huge, or is no zip at all, is refused', async () => {
    const archive = path.join(root, 'hostile.zip');
    const bytes = zip([{ name: 'bomb', data: 'x' }]);
    const entry = bytes.indexOf('PK\x01\x02');
    bytes.writeUInt16LE(8, entry + 10);
    bytes.writeUInt32LE(0xf0000000, entry + 24);
    await writeFile(archive, bytes);
    await expect(unpackZip(archive, path.join(root, 'in'))).rejects.toThrow(/more than 2 GB/);
    await writeFile(archive, 'nothing of the kind');
    await expect(unpackZip(archive, path.join(root, 'in'))).rejects.toThrow(/not a zip archive/);
  });
});

test('models check goes on after a model that cannot be served', async () => {
  await addModel(await writeFiles(path.join(root, 'good'), await filesOf(network())), {}, context);
  const bad = path.join(context.modelsDir, 'bad');
  await writeFiles(bad, { 'model.json5': "{ format: 'onnx' }" });
  expect(await checkModels([], context)).toBe(1);
  expect(printed.join('\n')).toMatch(/bad cannot be served: .*model\.json5/);
  expect(printed.join('\n')).toMatch(/good [0-9a-f]{12}: 3 classes/);
});

test('models quantize writes ranges beside the spec and reports on images that it has not calibrated on', async () => {
  await addModel(await writeFiles(path.join(root, 'net'), await filesOf(network())), {}, context);
  const report = await quantizeModel('net', path.join(context.modelsDir, 'samples'), context);
  expect(report).toMatchObject({ images: 1 });
  const text = await readFile(path.join(context.modelsDir, 'net/calibration.json'), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ images: 2 });
  expect(printed.join('\n')).toMatch(/times as fast/);
});

test('models quantize refuses a version that agrees on too few images, and writes nothing', async () => {
  await addModel(await writeFiles(path.join(root, 'net'), await filesOf(network())), {}, context);
  const images = path.join(context.modelsDir, 'samples');
  await expect(quantizeModel('net', images, context, 1.01)).rejects.toThrow(
    /refused: int8 and float32 agree on \d+\.\d % of 1 images, less than 101\.0 %/,
  );
  expect(await readdir(path.join(context.modelsDir, 'net'))).not.toContain('calibration.json');
});
