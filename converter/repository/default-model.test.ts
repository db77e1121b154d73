import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CommandContext } from '../commands/command-context.ts';
import { chooseDefault, keepDefault } from '../commands/default.ts';
import { printModels } from '../commands/list.ts';
import { removeModel } from '../commands/remove.ts';
import { localRunner } from '../model-process/local-runner.ts';
import { REPOSITORY_FILE, readDefaultModel, writeDefaultModel } from './default-model.ts';

let modelsDir: string;
let printed: string[];
let context: CommandContext;

beforeEach(async () => {
  modelsDir = await mkdtemp(path.join(os.tmpdir(), 'inferql-default-'));
  printed = [];
  const { signal } = new AbortController();
  context = {
    modelsDir,
    stateDir: path.join(modelsDir, '.state'),
    signal,
    runner: localRunner,
    print: (line) => printed.push(line),
  };
});
afterEach(() => rm(modelsDir, { recursive: true, force: true }));

async function makeModel(name: string): Promise<void> {
  await mkdir(path.join(modelsDir, name));
  await writeFile(path.join(modelsDir, name, 'model.json5'), '{}');
}

test('the first model is the default one, and stays it when others are added', async () => {
  await makeModel('net');
  await keepDefault('net', context);
  await makeModel('ant');
  await keepDefault('ant', context);
  expect(await readDefaultModel(modelsDir)).toBe('net');
  expect(printed).toEqual([
    'net is the default model',
    'the default model is still net: `npx inferql models default ant` changes that',
  ]);
});

test('a repository of an earlier release keeps its default model', async () => {
  await makeModel('bee');
  await makeModel('ant');
  await keepDefault('ant', context);
  expect(await readDefaultModel(modelsDir)).toBe('bee');
});

test('another default is chosen by name, and by removing the current one', async () => {
  await makeModel('ant');
  await makeModel('bee');
  await chooseDefault('bee', context);
  await chooseDefault(undefined, context);
  expect(printed).toEqual(['the default model is now bee', 'bee']);
  await expect(chooseDefault('cow', context)).rejects.toThrow(/no model cow .*ant, bee/);
  await removeModel('bee', context);
  expect(await readDefaultModel(modelsDir)).toBe('ant');
  expect(printed.at(-1)).toBe('the default model is now ant');
});

test('a file with other content is refused, with what was expected', async () => {
  expect(await readDefaultModel(modelsDir)).toBeUndefined();
  for (const text of ['{', '{ default: 7 }', "{ default: '../x' }", "{ standard: 'x' }"]) {
    await writeFile(path.join(modelsDir, REPOSITORY_FILE), text);
    await expect(readDefaultModel(modelsDir)).rejects.toThrow(/repository\.json5: expected \{ default:/);
  }
});

test('a folder without a spec gets an error message', async () => {
  await mkdir(path.join(modelsDir, 'export'));
  await mkdir(path.join(modelsDir, 'samples'));
  await printModels(context);
  expect(printed).toEqual([
    expect.stringMatching(/export has no model\.json5 and is not served: .*models add .*export/),
  ]);
});

test('two commands that write it at once, as in two containers, do not disturb each other', async () => {
  const names = Array.from({ length: 8 }, (_, i) => `model-${i}`);
  await Promise.all(names.map((name) => writeDefaultModel(modelsDir, name)));
  expect(names).toContain(await readDefaultModel(modelsDir));
  expect(await readdir(modelsDir)).toEqual([REPOSITORY_FILE]);
});
