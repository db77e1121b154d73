import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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
