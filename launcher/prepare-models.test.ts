import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestFiles, listFiles } from './build-stamps.ts';
import { prepareModels } from './prepare-models.ts';
import { SetupError } from './terminal.ts';

let dir: string;
let modelsDir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-prepare-models-'));
  modelsDir = join(dir, 'models');
  for (const name of ['models', 'elsewhere/linked/labels', 'state/models', 'converter', 'logs']) {
    mkdirSync(join(dir, name), { recursive: true });
  }
  writeFileSync(join(dir, 'elsewhere/linked/model.json5'), '{}');
  writeFileSync(join(dir, 'elsewhere/linked/labels/en.json'), '[]');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Prepares the models with a converter that only counts its runs, and exits with this code. */
async function prepare(exitCode = 0): Promise<number> {
  const converter = join(dir, 'converter/main.js');
  const runs = join(dir, 'runs');
  writeFileSync(
    converter,
    `require('node:fs').appendFileSync(${JSON.stringify(runs)}, '.'); process.exitCode = ${exitCode}`,
  );
  await prepareModels({
    ...{ dir, modelsDir, converter, converterDir: join(dir, 'converter') },
    ...{ stateDir: join(dir, 'state'), logsDir: join(dir, 'logs'), setupDir: dir },
  });
  return readFileSync(runs, 'utf8').length;
}

test('a model that is a link to a folder is prepared, and again after each change of its files', async () => {
  symlinkSync(join(dir, 'elsewhere/linked'), join(modelsDir, 'linked'));
  expect(await prepare()).toBe(1);
  expect(await prepare()).toBe(1);
  writeFileSync(join(dir, 'elsewhere/linked/labels/en.json'), '["one"]');
  expect(await prepare()).toBe(2);
  symlinkSync(join(dir, 'elsewhere/linked'), join(modelsDir, 'same'));
  expect(await prepare()).toBe(3);
  expect(await prepare()).toBe(3);
});

test('if no model is ready, the converter has said why, and its command line is not shown', async () => {
  await expect(prepare(1)).rejects.toThrow(new SetupError('No model is ready; the reason is above.'));
});

test('after some were refused, the others are ready, and the next start tries again', async () => {
  expect(await prepare(4)).toBe(1);
  expect(await prepare(4)).toBe(2);
});

test('pipes, and links that lead nowhere or to a folder that contains them, are not read', async () => {
  execFileSync('mkfifo', [join(modelsDir, 'pipe')]);
  symlinkSync('nowhere', join(modelsDir, 'dangling'));
  symlinkSync('circle', join(modelsDir, 'circle'));
  symlinkSync('..', join(modelsDir, 'up'));
  symlinkSync('/', join(modelsDir, 'root'));
  symlinkSync('/dev/zero', join(modelsDir, 'device'));
  // Each leads to the folder of the other.
  symlinkSync(join(dir, 'elsewhere'), join(modelsDir, 'elsewhere'));
  symlinkSync(modelsDir, join(dir, 'elsewhere/back'));
  writeFileSync(join(modelsDir, 'repository.json5'), '{}');
  expect(listFiles(dir, [modelsDir])).toEqual([
    'models/elsewhere/linked/labels/en.json',
    'models/elsewhere/linked/model.json5',
    'models/repository.json5',
  ]);
  expect(await prepare()).toBe(1);
  expect(await prepare()).toBe(1);
});

test('what cannot be read is part of the digest and not an error', () => {
  const digest = () => digestFiles(dir, ['models', 'file']);
  const missing = digest();
  writeFileSync(join(dir, 'file'), '');
  expect(digest()).not.toBe(missing);
});
