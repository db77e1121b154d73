import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findImages } from './images.ts';

const NOBODY = 65_534;

test('a folder that cannot be read is one of what was named, and harms no other; links in circles are not followed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'inferql-images-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  for (const name of ['a', 'locked', 'z']) await mkdir(join(dir, name));
  for (const name of ['a/1.jpg', 'locked/2.jpg', 'z/3.jpg', 'z/notes.txt']) await writeFile(join(dir, name), '');
  await symlink('..', join(dir, 'z', 'around'));
  await symlink('nowhere.png', join(dir, 'z', 'dangling.png'));
  await chmod(join(dir, 'locked'), 0o000);
  // The superuser may read everything.
  if (process.getuid!() === 0) {
    process.seteuid!(NOBODY);
    onTestFinished(() => process.seteuid!(0));
  }
  const images = await findImages([dir, join(dir, 'locked')], process.stdin, new AbortController().signal);
  expect(images.map(({ name, size }) => [name.slice(dir.length + 1), size])).toEqual([
    ['a/1.jpg', 0],
    ['locked', undefined],
    ['z/3.jpg', 0],
    ['z/dangling.png', undefined],
  ]);
});
