import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { EXIT } from './exit-codes.ts';
import { describeSkipped, findImages } from './image-sources.ts';

const NOBODY = 65_534;

test('an unreadable folder is reported and does not affect others; links to folders are reported, not followed', async () => {
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
  const { images, skipped } = await findImages([dir, join(dir, 'locked')], process.stdin, new AbortController().signal);
  expect(images.map(({ name, size }) => [name.slice(dir.length + 1), size])).toEqual([
    ['a/1.jpg', 0],
    ['locked', undefined],
    ['z/3.jpg', 0],
    ['z/dangling.png', undefined],
  ]);
  expect(skipped).toEqual([`${join(dir, 'z/around')} (a link to a folder)`, join(dir, 'z/notes.txt')]);
});

test('files in folders are images by their name or by their first bytes; all others are reported', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'inferql-images-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const jpeg = await readFile('models/samples/rocket.jpg');
  const byName = ['a.jfif', 'b.jpe', 'c.mpo', 'd.dng', 'e.HEIC', 'f.bmp', 'g.pjpeg', 'h.jxl'];
  const byContent = ['IMG_0001', 'picture.dat'];
  const others = ['empty', 'film.mov', 'notes.txt', 'page.html'];
  for (const name of byContent) await writeFile(join(dir, name), jpeg);
  for (const name of [...byName, ...others])
    await writeFile(join(dir, name), name === 'empty' ? '' : 'nothing that is an image');
  const found = await findImages([dir], process.stdin, new AbortController().signal);
  expect(found.images.map(({ name }) => basename(name)).sort()).toEqual([...byName, ...byContent].sort());
  expect(found.skipped.map((name) => basename(name))).toEqual(others);
  expect(describeSkipped(['x/a.txt'])).toBe(' Skipped 1 file that is not an image: x/a.txt.');
  expect(describeSkipped(['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toBe(
    ' Skipped 7 files that are not images: a, b, c, d, e and 2 more.',
  );
});

test('a folder without images is an error that says what is in it, unless a file was also named', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'inferql-images-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const notes = join(dir, 'notes.txt');
  await writeFile(notes, 'no image');
  const { signal } = new AbortController();
  await expect(findImages([dir], process.stdin, signal)).rejects.toMatchObject({
    exitCode: EXIT.usage,
    message: expect.stringContaining('notes.txt'),
  });
  expect(await findImages([dir, notes], process.stdin, signal)).toMatchObject({
    images: [{ name: notes }],
    skipped: [],
  });
});
