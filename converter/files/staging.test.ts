import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stageFolder } from './staging.ts';

let parent: string;
let target: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'inferql-staging-'));
  target = join(parent, 'target');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const fillWith = (text: string) => (folder: string) => writeFile(join(folder, 'text'), text);
const readText = () => readFile(join(target, 'text'), 'utf8');

test('a folder is replaced if it was damaged, and a file in its place, too', async () => {
  await writeFile(target, 'a file');
  await stageFolder(target, fillWith('first'));
  expect(await readText()).toBe('first');
  await writeFile(join(target, 'text'), 'damaged');
  await stageFolder(target, fillWith('second'));
  expect(await readText()).toBe('second');
  expect(await readdir(parent)).toEqual(['target']);
});

test('a folder that another process has completed meanwhile stays, even if a damaged one was there before', async () => {
  await stageFolder(target, fillWith('first'));
  await writeFile(join(target, 'text'), 'damaged');
  await stageFolder(target, async (folder) => {
    await stageFolder(target, fillWith('of another'));
    await fillWith('late')(folder);
  });
  expect(await readText()).toBe('of another');
  expect(await readdir(parent)).toEqual(['target']);
});

test('what a killed process left is removed after ten minutes, even if this one has its id, but not what is being filled', async () => {
  const leave = async (name: string, minutes: number) => {
    await mkdir(join(parent, name));
    const madeAt = new Date(Date.now() - minutes * 60_000);
    await utimes(join(parent, name), madeAt, madeAt);
  };
  await leave(`.staging-${process.pid}-00000001`, 11);
  await leave(`.staging-${process.pid}-00000002`, 9);
  await leave(`.staging-${process.ppid}-00000003`, 11);
  await stageFolder(target, async (folder) => {
    const long = new Date(Date.now() - 3_600_000);
    await utimes(folder, long, long);
    await stageFolder(join(parent, 'other'), fillWith('first'));
    await fillWith('slow')(folder);
  });
  expect(await readText()).toBe('slow');
  expect((await readdir(parent)).sort()).toEqual(
    [`.staging-${process.pid}-00000002`, `.staging-${process.ppid}-00000003`, 'other', 'target'].sort(),
  );
});
