import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { listModuleFiles } from './module-files.ts';
import { pullSource } from './pull.ts';

test('links to files are files of the model; packages, hidden files and links that lead to folders or nowhere are not', async () => {
  const root = await mkdtemp(join(tmpdir(), 'inferql-module-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const folder = join(root, 'model');
  for (const name of ['model/weights', 'model/node_modules', 'model/.git'])
    await mkdir(join(root, name), { recursive: true });
  for (const name of [
    'large.bin',
    'model/engine.js',
    'model/weights/small.bin',
    'model/node_modules/x.js',
    'model/.git/x',
  ])
    await writeFile(join(root, name), '');
  await symlink(join(root, 'large.bin'), join(folder, 'weights', 'large.bin'));
  await symlink(root, join(folder, 'parent'));
  await symlink('nowhere', join(folder, 'gone.bin'));
  expect(await listModuleFiles(folder)).toEqual(['engine.js', 'weights/large.bin', 'weights/small.bin']);
});

test('a file that is renamed makes another version: code may list its folder', async () => {
  const root = await mkdtemp(join(tmpdir(), 'inferql-module-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const modelDir = join(root, 'model');
  await mkdir(modelDir);
  for (const name of ['engine.js', 'labels.json', 'cat.bin']) await writeFile(join(modelDir, name), name);
  const source = { type: 'folder', model: 'engine.js', labels: 'labels.json' } as const;
  const pull = {
    modelDir,
    source,
    format: 'module',
    storeDir: join(root, 'store'),
    onProgress() {},
    signal: undefined,
  } as const;
  const before = await pullSource(pull);
  await rename(join(modelDir, 'cat.bin'), join(modelDir, 'dog.bin'));
  const after = await pullSource(pull);
  expect(after.digest).not.toBe(before.digest);
  expect(await listModuleFiles(after.folder)).toContain('dog.bin');
});
