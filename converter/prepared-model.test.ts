import fs from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { SPEC, setUpFolders, writeModel, writeSpec as writeSpecInto } from './prepared-model.fixture.ts';
import { prepareModel } from './prepared-model.ts';

let modelDir: string;
let stateDir: string;

const folders = setUpFolders();
beforeEach(() => {
  ({ modelDir, stateDir } = folders);
});

const writeSpec = (spec: object) => writeSpecInto(modelDir, spec);

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
