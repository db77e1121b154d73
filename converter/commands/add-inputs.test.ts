/** `models add` of files as they lie around: archives in archives, names of any language, links, folders without rights to write. */
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { zip } from '../sources/zip.fixture.ts';
import { addModel } from './add.ts';
import { listModels } from './command-context.ts';
import { filesOf, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();
const inRoot = (name: string) => path.join(repository.root, name);
const zipOf = (files: Record<string, string | Uint8Array>, folder = '') =>
  zip(Object.entries(files).map(([name, data]) => ({ name: `${folder}${name}`, data })));

describe('an archive', () => {
  test('in an archive, or alone in a folder, is to be unpacked first', async () => {
    const inner = zipOf(await filesOf(network()));
    const outer = inRoot('outer.zip');
    await writeFile(outer, zipOf({ 'model.zip': inner }));
    await expect(addModel(outer, {}, repository.context)).rejects.toThrow(
      `unpack ${outer} first: ${inRoot('outer/model.zip')} is an archive: unpack it, and add what is in it`,
    );
    const folder = await writeFiles(inRoot('downloads'), { 'model.tar.gz': 'x', 'readme.md': '' });
    await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
      `${path.join(folder, 'model.tar.gz')} is an archive: unpack it, and add what is in it`,
    );
  });

  test('of another format, or of several models, is named as the user knows it', async () => {
    const saved = inRoot('saved.zip');
    await writeFile(saved, zipOf({ 'net/saved_model.pb': 'x' }));
    const command = `unpack ${saved} first: ${inRoot('saved/net')} is a TensorFlow SavedModel. Convert it: python -m tf2onnx.convert`;
    await expect(addModel(saved, {}, repository.context)).rejects.toThrow(command);
    const checkpoint = inRoot('yolo.zip');
    await writeFile(checkpoint, zipOf({ 'best.pt': 'made by ultralytics' }));
    await expect(addModel(checkpoint, {}, repository.context)).rejects.toThrow(/yolo export model=\S+yolo\/best\.pt /);
    const two = inRoot('two.zip');
    await writeFile(two, zipOf({ 'a.onnx': 'x', 'b.onnx': 'x' }));
    await expect(addModel(two, {}, repository.context)).rejects.toThrow(
      `${two}: expected one model.json, .onnx, .keras or .h5 file, found a.onnx, b.onnx: unpack it, and give`,
    );
  });

  test('may have names in UTF-8, which few programs announce, and what macOS adds', async () => {
    const { 'model.json': json, 'weights.bin': weights } = await filesOf(network());
    const files = {
      'model.json': String(json).replace('weights.bin', 'Gewichte größer/重み.bin'),
      'Gewichte größer/重み.bin': weights!,
      'labels.txt': 'Ärger & Ölfarbe\n猫\nØ',
    };
    const hidden = Object.fromEntries(Object.keys(files).map((name) => [`__MACOSX/modèle/._${name}`, 'x']));
    const archive = inRoot('modèle.zip');
    await writeFile(
      archive,
      Buffer.from(zip([...entries(files, 'modèle/'), ...entries({ 'modèle/._model.json': 'x', ...hidden }, '')])),
    );
    const model = await addModel(archive, {}, repository.context);
    expect(model.name).toBe('mod-le');
    expect(model.labels).toEqual(['Ärger & Ölfarbe', '猫', 'Ø']);
  });
});

const entries = (files: Record<string, string | Uint8Array>, folder: string) =>
  Object.entries(files).map(([name, data]) => ({ name: `${folder}${name}`, data }));

test('a folder, a file and labels may have names in any language', async () => {
  const labels = ['кошка', '犬', 'Ñandú'];
  const folder = await writeFiles(inRoot('Модель 1'), {
    ...(await filesOf(network())),
    'labels.json': JSON.stringify(labels),
  });
  const model = await addModel(folder, {}, repository.context);
  expect(model.name).toBe('1');
  expect(model.labels).toEqual(labels);
  const given = path.join(await writeFiles(inRoot('標籤'), { 'названия.txt': labels.join('\n') }), 'названия.txt');
  const again = await addModel(path.join(folder, 'model.json'), { name: 'b', labels: given }, repository.context);
  expect(again.labels).toEqual(labels);
  expect(repository.printed.join('\n')).toMatch(/chelsea\.png: (кошка|犬|Ñandú) \d/);
});

test('several classes of one name are served, and reported', async () => {
  const files = { ...(await filesOf(network())), 'labels.txt': 'crane\nbird\ncrane' };
  const model = await addModel(await writeFiles(inRoot('cranes'), files), {}, repository.context);
  expect(model.labels).toEqual(['crane', 'bird', 'crane']);
  expect(repository.printed.join('\n')).toContain(
    'several classes have the same name (crane): results distinguish them',
  );
});

describe('a link in a folder', () => {
  const secret = 'one\ntwo\nthree';

  test.each(['labels.txt', 'weights.bin', 'model.json'])('that leaves it is refused: %s', async (name) => {
    const files: Record<string, string | Uint8Array> = { ...(await filesOf(network())), 'labels.txt': secret };
    const outside = await writeFiles(inRoot('outside'), { [name]: files[name]! });
    const { [name]: _, ...others } = files;
    const folder = await writeFiles(inRoot('hostile'), others);
    await symlink(path.join(outside, name), path.join(folder, name));
    await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
      `${path.join(folder, name)} is a link that leaves ${folder}: if you trust it, copy the folder`,
    );
    expect(await listModels(repository.context.modelsDir)).toEqual([]);
    expect(await readdir(repository.context.stateDir).catch(() => [])).toEqual([]);
  });

  test('that leaves the folder of a given file is refused, too, but the file itself may be a link', async () => {
    const folder = await writeFiles(inRoot('real'), await filesOf(network()));
    const beside = await writeFiles(inRoot('beside'), {});
    await symlink(path.join(folder, 'model.json'), path.join(beside, 'model.json'));
    await symlink(path.join(folder, 'weights.bin'), path.join(beside, 'weights.bin'));
    const file = path.join(beside, 'model.json');
    await expect(addModel(file, {}, repository.context)).rejects.toThrow(/weights\.bin is a link that leaves/);
    await symlink(path.resolve(import.meta.dirname, '../golden/keras/keras2.h5'), inRoot('linked.h5'));
    expect((await addModel(inRoot('linked.h5'), {}, repository.context)).classCount).toBe(5);
  });

  test('to a folder is not followed; one inside the folder is', async () => {
    const { 'weights.bin': weights, ...files } = await filesOf(network());
    const folder = await writeFiles(inRoot('inside'), files);
    await writeFiles(path.join(folder, 'blobs'), { a1b2: weights! });
    await symlink('blobs/a1b2', path.join(folder, 'weights.bin'));
    await symlink(folder, path.join(folder, 'again'));
    await symlink('/', path.join(folder, 'everything'));
    expect((await addModel(folder, {}, repository.context)).classCount).toBe(3);
  });
});

test('a folder without the right to write is read, and what was added from it can be replaced', async () => {
  const folder = await writeFiles(inRoot('read-only'), { ...(await filesOf(network())), 'labels.txt': 'a\nb\nc' });
  for (const name of await readdir(folder)) await chmod(path.join(folder, name), 0o444);
  await chmod(folder, 0o555);
  const first = await addModel(folder, {}, repository.context);
  const second = await addModel(folder, { replace: true, normalization: 'tf' }, repository.context);
  expect(second.version).not.toBe(first.version);
  expect(await readFile(path.join(repository.context.modelsDir, 'read-only/labels.json'), 'utf8')).toContain('"b"');
  await chmod(folder, 0o755);
});

test('a folder of very many files is not searched to its end', async () => {
  const folder = inRoot('home');
  await mkdir(folder);
  await Promise.all(Array.from({ length: 10_001 }, (_, i) => writeFile(path.join(folder, `${i}.txt`), '')));
  await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
    /over 10000 files: give the path of the model/,
  );
});

describe('a tfjs export', () => {
  test('may have another name, and a query in the names of its weights', async () => {
    const { 'model.json': json, 'weights.bin': weights } = await filesOf(network());
    const renamed = { 'tfjs_model.json': json!, 'weights.bin': weights!, 'package.json': '{"name":"x"}' };
    expect((await addModel(await writeFiles(inRoot('renamed'), renamed), {}, repository.context)).classCount).toBe(3);
    const queried = { 'model.json': String(json).replace('weights.bin', 'weights.bin?v=12'), 'weights.bin': weights! };
    expect((await addModel(await writeFiles(inRoot('queried'), queried), {}, repository.context)).classCount).toBe(3);
  });

  test('whose files are pointers of Git LFS, or that has no weights, is refused with what to do', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n';
    const folder = await writeFiles(inRoot('lfs'), { ...(await filesOf(network())), 'weights.bin': pointer });
    const sentence = `${path.join(folder, 'weights.bin')} is a pointer of Git LFS, not the file: run git lfs pull`;
    await expect(addModel(folder, {}, repository.context)).rejects.toThrow(sentence);
    for (const name of ['net.onnx', 'net.keras', 'net.h5']) {
      const file = path.join(await writeFiles(inRoot(`lfs-${name}`), { [name]: pointer }), name);
      await expect(addModel(file, {}, repository.context)).rejects.toThrow(/run git lfs pull/);
    }
    const layers = { class_name: 'Sequential', config: {}, keras_version: '2.15.0' };
    for (const [name, topology] of Object.entries({ bare: layers, topology: { model_config: layers } })) {
      const folder = await writeFiles(inRoot(name), { 'model.json': JSON.stringify(topology) });
      await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
        /the layers of a Keras model without weights: save the whole model with model\.save\('model\.keras'\)/,
      );
    }
  });
});
