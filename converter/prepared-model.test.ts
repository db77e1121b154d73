import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import * as tf from '@tensorflow/tfjs';
import JSON5 from 'json5';
import * as tar from 'tar';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { saveLayersModel } from './golden/harness.fixture.ts';
import { prepareModel } from './prepared-model.ts';

let root: string;
let modelDir: string;
let stateDir: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-models-'));
  modelDir = path.join(root, 'models/tiny');
  stateDir = path.join(root, 'state');
  await mkdir(modelDir, { recursive: true });
});

// A pull that was cut or aborted may still write to npm's cache.
afterEach(() => removeFolder(root));

const SPEC = {
  source: { type: 'folder', model: 'model.json', labels: 'labels.txt' } as Record<string, string>,
  format: 'tfjs-layers',
  input: { width: 8, height: 6, normalization: 'tf' },
  output: { activation: 'softmax' },
};

async function writeModel(folder: string, seed = 1): Promise<void> {
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [6, 8, 3], filters: 4, kernelSize: 3 }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 2, activation: 'softmax', kernelInitializer: tf.initializers.glorotUniform({ seed }) }),
    ],
  });
  const { modelJson, weightData } = await saveLayersModel(model);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'model.json'), JSON.stringify(modelJson));
  await writeFile(path.join(folder, 'weights.bin'), Buffer.from(weightData));
  await writeFile(path.join(folder, 'labels.txt'), 'cat\ndog\n');
}

const writeSpec = (spec: object) => writeFile(path.join(modelDir, 'model.json5'), JSON5.stringify(spec));

describe('a model in a folder', () => {
  beforeEach(async () => {
    await writeModel(modelDir);
    await writeSpec(SPEC);
  });

  test('is converted once; the second call only compares digests', async () => {
    const steps: string[] = [];
    const first = await prepareModel({ modelDir, stateDir, onProgress: ({ step }) => steps.push(step) });
    expect(steps).toEqual(['convert', 'ready']);
    expect(first).toMatchObject({ name: 'tiny', labels: ['cat', 'dog'], classCount: 2 });
    expect(first.version).toMatch(/^[0-9a-f]{12}$/);
    steps.length = 0;
    expect(await prepareModel({ modelDir, stateDir, onProgress: ({ step }) => steps.push(step) })).toEqual(first);
    expect(steps).toEqual(['ready']);
  });

  const DAMAGES: Record<string, (file: string) => Promise<unknown>> = {
    'with noise in it': async (file) => {
      const bytes = await readFile(file);
      bytes[bytes.length >> 1]! ^= 0x55;
      await writeFile(file, bytes);
    },
    'cut short': async (file) => writeFile(file, (await readFile(file)).subarray(0, -1)),
    'that is empty': (file) => writeFile(file, ''),
    'that is gone': (file) => rm(file),
  };
  const FILES = ['model.onnx', 'cam.bin', 'prepared.json', '.digests.json'];
  const SOURCE_FILES = ['model.json', 'weights.bin', 'labels.txt', '.digests.json'];

  test.each(
    [...FILES.map((name) => ['the version', name]), ...SOURCE_FILES.map((name) => ['the source', name])].flatMap(
      ([place, name]) => Object.keys(DAMAGES).map((how) => [place!, name!, how]),
    ),
  )('makes %s again for a file %s %s', async (place, name, how) => {
    const first = await prepareModel({ modelDir, stateDir });
    const store = path.join(stateDir, 'models/tiny');
    const source = (await readdir(store)).find((folder) => folder.startsWith('source-'))!;
    const file = path.join(store, place === 'the version' ? first.version : source, name);
    const whole = await readFile(file);
    await DAMAGES[how]!(file);
    expect(await prepareModel({ modelDir, stateDir })).toEqual(first);
    expect((await readFile(file)).equals(whole)).toBe(true);
    // What is not known to be damaged is not made again.
    const { mtimeMs } = await stat(file);
    await prepareModel({ modelDir, stateDir });
    expect((await stat(file)).mtimeMs).toBe(mtimeMs);
  });

  test('is another version if a weight or the spec changes, and the old one stays complete', async () => {
    const first = await prepareModel({ modelDir, stateDir });
    const shard = path.join(modelDir, 'weights.bin');
    const bytes = await readFile(shard);
    bytes.writeFloatLE(0.25, 0);
    await writeFile(shard, bytes);
    const second = await prepareModel({ modelDir, stateDir });
    await writeSpec({ ...SPEC, input: { ...SPEC.input, normalization: 'unit' } });
    const third = await prepareModel({ modelDir, stateDir });
    expect(new Set([first.version, second.version, third.version]).size).toBe(3);
    expect((await readFile(first.onnxPath ?? '')).length).toBeGreaterThan(0);
  });

  test('is another version if its weights are exchanged by others of the same size and time', async () => {
    const time = new Date(2026, 0, 1);
    const shard = path.join(modelDir, 'weights.bin');
    await utimes(shard, time, time);
    const first = await prepareModel({ modelDir, stateDir });
    const bytes = await readFile(shard);
    bytes.writeFloatLE(0.25, 0);
    // As archives of packages are unpacked: each file has the same time.
    await writeFile(shard, bytes);
    await utimes(shard, time, time);
    expect((await prepareModel({ modelDir, stateDir })).version).not.toBe(first.version);
  });

  test('is ready as soon as its files can be read, although they could not before', async () => {
    const { createReadStream } = fs;
    const restore = () => {
      fs.createReadStream = createReadStream;
      syncBuiltinESMExports();
    };
    onTestFinished(restore);
    fs.createReadStream = () => {
      throw new Error('EMFILE: too many open files');
    };
    syncBuiltinESMExports();
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow('EMFILE');
    restore();
    await expect(prepareModel({ modelDir, stateDir })).resolves.toMatchObject({ name: 'tiny' });
  });

  test('keeps a version that is in use again', async () => {
    const versions: string[] = [];
    for (const maxBatchSize of [1, 2, 3, 1, 4]) {
      await writeSpec({ ...SPEC, batching: { maxBatchSize } });
      const { version } = await prepareModel({ modelDir, stateDir });
      const folder = path.join(stateDir, 'models/tiny', version);
      const isNew = !versions.includes(version);
      versions.push(version);
      const time = new Date(2026, 0, versions.length);
      if (isNew) await utimes(folder, time, time);
    }
    const kept = (await readdir(path.join(stateDir, 'models/tiny'))).filter((name) => !name.startsWith('source-'));
    expect(kept.sort()).toEqual([versions[0], versions[2], versions[4]].sort());
  });

  test('keeps three versions on disk, so that those still served stay complete', async () => {
    const made: string[] = [];
    for (const maxBatchSize of [1, 2, 3, 4, 5]) {
      await writeSpec({ ...SPEC, batching: { maxBatchSize } });
      const { version } = await prepareModel({ modelDir, stateDir });
      made.push(version);
      const time = new Date(2026, 0, maxBatchSize);
      await utimes(path.join(stateDir, 'models/tiny', version), time, time);
    }
    const kept = (await readdir(path.join(stateDir, 'models/tiny'))).filter((name) => !name.startsWith('source-'));
    expect(kept.sort()).toEqual(made.slice(2).sort());
  });

  test('can be prepared by several at once', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => prepareModel({ modelDir, stateDir })));
    for (const model of all) expect(model).toEqual(all[0]);
    expect((await readdir(path.join(stateDir, 'models/tiny'))).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('with a weight missing, cut short or too many labels is refused by name', async () => {
    await writeFile(path.join(modelDir, 'labels.txt'), 'cat\ndog\nbird\n');
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow('labels.txt names 3 classes, the model has 2');
    await writeModel(modelDir);
    await writeFile(path.join(modelDir, 'weights.bin'), 'short');
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow(/weights\.bin hold 5 bytes, the manifest says/);
    await rm(path.join(modelDir, 'weights.bin'));
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow(/weights\.bin is missing/);
  });

  test.each(['model.json', 'weights.bin'])('with a device for %s is refused instead of read forever', async (name) => {
    await rm(path.join(modelDir, name));
    await symlink('/dev/zero', path.join(modelDir, name));
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow(new RegExp(`${name} is not a file`));
  });

  test('leaves what a killed process had begun, until it is old, and then removes it', async () => {
    const abandoned = path.join(stateDir, 'models/tiny/.staging-999999999-00000000');
    await mkdir(abandoned, { recursive: true });
    await prepareModel({ modelDir, stateDir });
    expect(await readdir(path.dirname(abandoned))).toContain(path.basename(abandoned));
    await utimes(abandoned, new Date(0), new Date(0));
    await writeSpec({ ...SPEC, batching: { maxBatchSize: 2 } });
    await prepareModel({ modelDir, stateDir });
    expect(await readdir(path.dirname(abandoned))).not.toContain(path.basename(abandoned));
  });
});

describe('a model in an npm package', () => {
  let registry: Server;
  let tarball: Buffer;
  let cutAfterBytes: number | undefined;

  beforeEach(async () => {
    const folder = path.join(root, 'pack/package');
    await writeModel(path.join(folder, 'tiny'));
    await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: 'tiny-model', version: '1.2.3' }));
    await tar.c({ gzip: true, file: path.join(root, 'tiny.tgz'), cwd: path.dirname(folder) }, ['package']);
    tarball = await readFile(path.join(root, 'tiny.tgz'));
    cutAfterBytes = undefined;
    registry = createServer((request, response) => {
      if (request.url?.endsWith('.tgz')) {
        response.writeHead(200, { 'content-length': tarball.length });
        if (cutAfterBytes === undefined) response.end(tarball);
        else response.write(tarball.subarray(0, cutAfterBytes), () => response.destroy());
        return;
      }
      const address = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/tiny-model/-/tiny-model-1.2.3.tgz`;
      const version = { name: 'tiny-model', version: '1.2.3', dist: { tarball: address } };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ name: 'tiny-model', 'dist-tags': { latest: '1.2.3' }, versions: { '1.2.3': version } }),
      );
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    // npx sets some of these for what it runs.
    vi.stubEnv('npm_config_registry', `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`);
    vi.stubEnv('npm_config_fetch_retries', '0');
    vi.stubEnv('npm_config_cache', path.join(root, 'npm-cache'));
    await writeSpec(npmSpec());
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await new Promise((resolve) => registry.close(resolve));
  });

  function npmSpec(integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`) {
    const source = { type: 'npm', package: 'tiny-model', version: '1.2.3', integrity };
    return { ...SPEC, source: { ...source, model: 'tiny/model.json', labels: 'tiny/labels.txt' } };
  }

  test('is pulled from the registry that npm is configured for', async () => {
    const progress: number[] = [];
    const model = await prepareModel({
      modelDir,
      stateDir,
      onProgress: ({ doneBytes }) => doneBytes !== undefined && progress.push(doneBytes),
    });
    expect(progress.at(-1)).toBe(tarball.length);
    expect(model.labels).toEqual(['cat', 'dog']);
    const unpacked = await readdir(path.join(path.dirname(model.tfjsPath ?? ''), '..'), { recursive: true });
    expect(unpacked.sort()).toEqual([
      '.digests.json',
      'tiny',
      'tiny/labels.txt',
      'tiny/model.json',
      'tiny/weights.bin',
    ]);
  });

  test('is not treated as complete if the pull was cut, and is complete the next time', async () => {
    cutAfterBytes = tarball.length >> 1;
    await expect(prepareModel({ modelDir, stateDir })).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
    expect(await readdir(path.join(stateDir, 'models/tiny'))).toEqual([]);
    cutAfterBytes = undefined;
    expect(await prepareModel({ modelDir, stateDir })).toMatchObject({ classCount: 2 });
  });

  test('is refused if its bytes are not those of the spec', async () => {
    await writeSpec(npmSpec(`sha512-${createHash('sha512').update('other').digest('base64')}`));
    await expect(prepareModel({ modelDir, stateDir })).rejects.toMatchObject({ code: 'INTEGRITY_MISMATCH' });
    expect(await readdir(path.join(stateDir, 'models/tiny'))).toEqual([]);
  });

  test('stops pulling when it is aborted', async () => {
    const stop = new AbortController();
    const pulled = prepareModel({ modelDir, stateDir, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(pulled).rejects.toMatchObject({ code: 'CANCELED' });
    expect(await readdir(path.join(stateDir, 'models/tiny'))).toEqual([]);
  });

  test('is refused if a wanted file is a link', async () => {
    const folder = path.join(root, 'linked/package');
    await writeModel(path.join(folder, 'tiny'));
    await rm(path.join(folder, 'tiny/labels.txt'));
    await symlink('/etc/passwd', path.join(folder, 'tiny/labels.txt'));
    await tar.c({ gzip: true, file: path.join(root, 'tiny.tgz'), cwd: path.dirname(folder) }, ['package']);
    tarball = await readFile(path.join(root, 'tiny.tgz'));
    await writeSpec(npmSpec());
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow(/labels\.txt is a SymbolicLink/);
  });
});
