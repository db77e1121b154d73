/** A repository with links, devices, and folders that disappear while their models are served. */
import { rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import { expect, test } from 'vitest';
import { setUpRepository } from './repository.fixture.ts';

const repository = setUpRepository();

/** Resolves once exactly these models are offered, and each answers. */
async function serves(...names: string[]): Promise<void> {
  const offered = async () => (await repository.queue.registry.models()).map(({ name }) => name).sort();
  await expect.poll(offered, { timeout: 40_000 }).toEqual(names);
  for (const name of names) {
    const end = await repository.queue.end(
      await repository.queue.submit(await repository.queue.model(name), new Uint8Array(6 * 5 * 3)),
    );
    expect(end.status).toBe('SUCCEEDED');
  }
}

test('odd files and links in the repository affect only their model, and are named', async () => {
  const { folder, modelsDir } = repository;
  await writeTinyModel(modelsDir, 'good');
  // As Kubernetes mounts volumes.
  await writeTinyModel(join(folder, 'elsewhere'), 'linked');
  await symlink(join('..', 'elsewhere', 'linked'), join(modelsDir, 'linked'));
  await symlink('loop', join(modelsDir, 'loop'));
  await symlink('..', join(modelsDir, 'up'));
  await symlink('nowhere', join(modelsDir, 'dangling'));
  for (const name of ['device', 'huge', 'circle']) await writeTinyModel(modelsDir, name);
  for (const name of ['device', 'circle']) await rm(join(modelsDir, name, 'labels.json'));
  await symlink('/dev/zero', join(modelsDir, 'device', 'labels.json'));
  await symlink('labels.json', join(modelsDir, 'circle', 'labels.json'));
  await truncate(join(modelsDir, 'huge', 'labels.json'), 8 * 2 ** 30);
  const { worker, log } = await repository.launch();
  await serves('good', 'linked');
  // The log and the answers come on different ways.
  await expect.poll(log).toContain('device/labels.json is not a file');
  await expect.poll(log).toMatch(/circle\/labels\.json is missing or cannot be read/);
  await expect.poll(log).toMatch(/labels labels\.json have 8589934592 bytes/);

  // The target of a link disappears, and another one takes its place.
  await rename(join(folder, 'elsewhere'), join(folder, 'away'));
  worker.kill('SIGHUP');
  await serves('good');
  await rename(join(folder, 'away'), join(folder, 'elsewhere'));
  worker.kill('SIGHUP');
  await serves('good', 'linked');
});

test('a model whose folder becomes a file, and a repository that is removed and comes back', async () => {
  const { modelsDir } = repository;
  await writeTinyModel(modelsDir, 'first');
  await writeTinyModel(modelsDir, 'second');
  const { worker } = await repository.launch();
  await serves('first', 'second');
  await rm(join(modelsDir, 'first'), { recursive: true });
  await writeFile(join(modelsDir, 'first'), 'not a folder');
  await serves('second');
  await rm(modelsDir, { recursive: true });
  await expect.poll(async () => (await repository.queue.registry.models()).length, { timeout: 40_000 }).toBe(0);
  await writeTinyModel(modelsDir, 'third');
  await serves('third');
  expect(worker.exitCode).toBeNull();
});
