/** Models that their code declares, read in processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PROGRAM, readModuleFields } from './declaration-process.ts';
import { findModelFile, readSpec } from './spec-file.ts';

const DECLARED = `{
  name: 'light',
  input: { width: 2, height: 2, channels: 1, resize: 'pillow-bilinear' },
  labels: ['dark', 'bright'],
  output: { threshold: 0.3 },
  load() { throw new Error('load was called'); },
}`;

let folder: string;
let modelDir: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-declared-'));
  modelDir = join(folder, 'light');
  await mkdir(modelDir);
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(files: Record<string, string>) {
  for (const [name, text] of Object.entries(files)) await writeFile(join(modelDir, name), text);
  return (await readSpec(modelDir)).spec;
}

test('code alone is a model, and is read without loading it', async () => {
  const spec = await read({ 'engine.js': `console.log('{}'); export default ${DECLARED};` });
  expect(spec).toMatchObject({
    source: { type: 'folder', model: 'engine.js' },
    format: 'module',
    engine: 'module',
    labels: ['dark', 'bright'],
    input: { width: 2, height: 2, channels: 1, resize: 'pillow-bilinear', normalization: 'none' },
    output: { threshold: 0.3 },
  });
  expect(await findModelFile(modelDir)).toBe('engine.js');
  expect(await findModelFile(folder)).toBeUndefined();
});

test('code that is exchanged by other code of the same size and time is read again', async () => {
  const files = { 'engine.js': `export default ${DECLARED};` };
  const file = join(modelDir, 'engine.js');
  const madeAt = new Date(1_000_000_000_000);
  await writeFile(file, files['engine.js']);
  await utimes(file, madeAt, madeAt);
  expect((await readSpec(modelDir)).spec.labels).toEqual(['dark', 'bright']);
  await writeFile(file, files['engine.js'].replace("'dark'", "'dusk'"));
  await utimes(file, madeAt, madeAt);
  expect((await readSpec(modelDir)).spec.labels).toEqual(['dusk', 'bright']);
});

test('model.json5 adds what the code does not declare', async () => {
  const spec = await read({
    'model.json5': "{ engine: './code.mjs', batching: { maxBatchSize: 3 }, labels: 'names.json' }",
    'code.mjs': 'export default { input: { width: 4, height: 4 }, load() {} };',
  });
  expect(spec).toMatchObject({ batching: { maxBatchSize: 3 }, input: { width: 4 }, source: { labels: 'names.json' } });
});

test('a spec with an input describes the model alone: its code is not imported', async () => {
  const engine = 'throw new Error("imported");';
  const spec = await read({
    'model.json5': "{ engine: './engine.js', input: { width: 4, height: 4 } }",
    'engine.js': engine,
  });
  expect(spec).toMatchObject({ input: { width: 4 }, source: { labels: 'labels.json' } });
});

test.each([
  ["{ input: { width: 0, height: 2 }, labels: ['a'] }", 'input.width: expected at least 1'],
  ["{ input: { width: 2, height: 2, chanels: 1 }, labels: ['a'] }", 'input.chanels: unknown field'],
  ['{ input: { width: 2, height: 2 }, labels: [] }', 'labels: expected at least 1'],
  ['{ input: { width: 2, height: 2 }, labels: [1] }', 'labels: expected a list of names, or a file with them'],
  ['{ input: { width: 2, height: 2 }, labels: "../secret" }', 'labels: expected a relative path'],
  ['{ input: { width: 2, height: 2 }, lables: ["a"] }', 'lables: unknown field'],
  ['{ name: "dark", input: { width: 2, height: 2 } }', 'name: expected light, the name of its folder, found dark'],
  ['{ input: { width: 2, height: 2 }, outputs: { v: { type: "embedding" } } }', 'outputs.v.size: '],
  ['{ input: { width: 2, height: 2 }, outputs: {} }', 'outputs: expected 1 to 16 outputs, found 0'],
  ['{ input: { width: 2, height: 2, shortSide: 1n } }', 'input.shortSide: '],
  ['{ labels: ["a"] }', 'input: expected here, or in what ./engine.js declares'],
  ['{ input: { width: 2, height: 2, cover: true } }', 'input.cover: expected a `resize` other than sharp with it'],
])('%s is refused by the name of its field', async (fields, message) => {
  const promise = read({ 'engine.js': `export default { ...${fields}, load() {} };` });
  await expect(promise).rejects.toMatchObject({
    code: 'SPEC_INVALID',
    message: expect.stringContaining(`\n  ${message}`),
  });
});

test('a field is declared once', async () => {
  const promise = read({
    'model.json5': "{ engine: './engine.js', labels: ['dark', 'bright'] }",
    'engine.js': `export default ${DECLARED};`,
  });
  await expect(promise).rejects.toThrow('labels: expected once, ./engine.js declares it, too');
});

test.each([
  ["import 'no-such-package';", "the engine module cannot be imported: Cannot find package 'no-such-package'"],
  ["throw new Error('not today');", 'the engine module cannot be imported: not today'],
  ['export const load = 1;', 'must have a default export: a function `load`, or an object with one'],
  ['process.exit(3);', 'the process that imports the engine module ended (3)'],
  [
    "await new Promise(() => process.nextTick(() => { throw new Error('no key'); }));",
    'the process that imports the engine module ended (1): Error: no key',
  ],
  ['process.abort();', 'the process that imports the engine module ended (SIGABRT)'],
  ['await new Promise(() => {});', 'the process that imports the engine module ended (13)'],
  ["process.send('{}');", 'what the engine module declares cannot be read'],
])('code that cannot be read says why, and harms nothing: %s', async (code, message) => {
  await expect(read({ 'engine.js': code })).rejects.toMatchObject({
    code: 'SPEC_INVALID',
    message: expect.stringContaining(message),
  });
});

test('code that hangs is ended', async () => {
  await writeFile(join(modelDir, 'engine.js'), 'for (;;);');
  const reading = readModuleFields(modelDir, 'engine.js', 300);
  await expect(reading).rejects.toThrow('was ended, at the latest after 300 ms');
});

test('a process that imports code ends at its time limit, even if whoever started it does not end it', async () => {
  const file = join(modelDir, 'engine.mjs');
  await writeFile(file, 'for (;;);');
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM, file, '300'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
});

test('code is imported again only when a file of its folder has changed, and nothing of it stays here', async () => {
  const log = join(folder, 'imports.txt');
  const engine = `import { appendFileSync } from 'node:fs';
    import { labels } from './labels.js';
    appendFileSync(${JSON.stringify(log)}, 'x');
    globalThis.leftByModule = true;
    export default { input: { width: 2, height: 2 }, labels, load() {} };`;
  const files = { 'engine.js': engine, 'labels.js': "export const labels = ['a'];" };
  expect((await read(files)).labels).toEqual(['a']);
  await readSpec(modelDir);
  expect(await readFile(log, 'utf8')).toBe('x');
  expect((await read({ 'labels.js': "export const labels = ['a', 'b'];" })).labels).toEqual(['a', 'b']);
  expect(await readFile(log, 'utf8')).toBe('xx');
  expect(globalThis).not.toHaveProperty('leftByModule');
});
