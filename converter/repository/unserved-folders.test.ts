import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkModels } from '../commands/check.ts';
import { listModels } from '../commands/command-context.ts';
import { printModels } from '../commands/list.ts';
import { removeModel } from '../commands/remove.ts';
import { localRunner } from '../model-process/local-runner.ts';
import { describeOddFolders } from './unserved-folders.ts';

let modelsDir: string;

beforeEach(async () => {
  modelsDir = await mkdtemp(path.join(os.tmpdir(), 'inferql-unserved-folders-'));
});
afterEach(() => rm(modelsDir, { recursive: true, force: true }));

async function makeFolder(name: string, ...files: string[]): Promise<void> {
  await mkdir(path.join(modelsDir, name));
  for (const file of files) await writeFile(path.join(modelsDir, name, file), '{}');
}

const NO_SPEC =
  /flowers has no model\.json5 and is not served: `npx inferql models add "(\S+)\/flowers" --models-dir "\1" --name flowers --replace`/;

test('a folder that is not served says why, and what makes it a model', async () => {
  await makeFolder('flowers', 'model.json', 'weights.bin');
  await makeFolder('My Cats', 'model.keras');
  await makeFolder('Birds', 'model.json5');
  await makeFolder('net', 'model.json5');
  await makeFolder('code', 'engine.js');
  await makeFolder('samples', 'cat.png');
  await makeFolder('.staging-7-0000000a', 'model.json');
  await writeFile(path.join(modelsDir, 'readme.txt'), 'text');
  const lines = await describeOddFolders(modelsDir);
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/Birds is not served: the names of models have lower-case letters, .* only; rename it$/);
  expect(lines[1]).toMatch(
    /My Cats is not served: .*: `npx inferql models add "(\S+)\/My Cats" --models-dir "\1" --name NAME`$/,
  );
  expect(lines[2]).toMatch(NO_SPEC);
  expect(await describeOddFolders(path.join(modelsDir, 'nowhere'))).toEqual([]);
});

test.each([
  ['models list', printModels],
  ['models check', (context: Parameters<typeof printModels>[0]) => checkModels([], context)],
] as const)('%s reports it', async (_, command) => {
  await makeFolder('flowers', 'model.json');
  const printed: string[] = [];
  const { signal } = new AbortController();
  await command({
    modelsDir,
    stateDir: path.join(modelsDir, '.state'),
    signal,
    runner: localRunner,
    print: (line) => printed.push(line),
  });
  expect(printed).toEqual([expect.stringMatching(NO_SPEC)]);
});

test('a link to a folder is a model like any other, and its folder stays if the model is removed', async () => {
  await makeFolder('.elsewhere');
  await makeFolder('.elsewhere/net', 'model.json5');
  await makeFolder('.elsewhere/flowers', 'model.json');
  for (const name of ['net', 'flowers']) await symlink(`.elsewhere/${name}`, path.join(modelsDir, name));
  await symlink('nowhere', path.join(modelsDir, 'gone'));
  expect(await listModels(modelsDir)).toEqual(['net']);
  expect(await describeOddFolders(modelsDir)).toEqual([
    expect.stringMatching(NO_SPEC),
    expect.stringMatching(/gone is a link that leads nowhere and is not served/),
  ]);
  const context = { signal: new AbortController().signal, runner: localRunner, print: () => {} };
  await removeModel('net', { ...context, modelsDir, stateDir: path.join(modelsDir, '.state') });
  expect(await listModels(modelsDir)).toEqual([]);
  expect(await readdir(path.join(modelsDir, '.elsewhere/net'))).toEqual(['model.json5']);
});
