/** The exit codes of the commands for a folder of models, as `inferql --help` lists them. */
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeFiles } from '../commands/test-repository.fixture.ts';

const MODEL = path.join(import.meta.dirname, 'exported/torch-softmax/model.onnx');
let root: string;
let program: string;
beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'inferql-exit-codes-'));
  program = bundledProgram(await buildSystem(), 'converter/main');
  const spec = { 'model.json5': "{ engine: './engine.mjs', input: { width: 8, height: 8 }, labels: 'labels.json' }" };
  const files = { ...spec, 'labels.json': '["a", "b"]' };
  await writeFiles(path.join(root, 'models/good'), { ...files, 'engine.mjs': 'export default () => ({ run() {} });' });
  await writeFiles(path.join(root, 'models/broken'), { 'model.json5': '{' });
});
afterAll(() => removeFolder(root));

/** Runs a command through a shell. @param pipe what follows the command, such as `> file` */
function run(args: string[], pipe = ''): Promise<{ code: number; out: string; err: string }> {
  const folders = ['--models-dir', path.join(root, 'models'), '--state-dir', path.join(root, 'state')];
  const words = [process.execPath, program, ...folders, ...args].map((word) => `'${word}'`).join(' ');
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', `(${words}; code=$?; echo "code $code" >&2; exit $code) ${pipe}`], (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
  });
}

test('invalid arguments end with 2', async () => {
  for (const args of [
    ['add'],
    ['add', MODEL, '--nope'],
    ['add', MODEL, '--mean', 'a'],
    ['add', MODEL, '--name', 'Not This'],
    ['add', MODEL, '--name', 'net', '--normalization', 'torch', '--mean', '0.5'],
    ['add', MODEL, '--outputs', 'color'],
    ['list', 'good'],
    ['remove'],
    ['remove', 'none'],
    ['check', 'good', 'none'],
    ['prepare', 'good', 'none'],
    ['quantize', 'none'],
    ['verify', 'good'],
    ['pixels', 'good', 'a.png'],
  ]) {
    const { code, err } = await run(args);
    expect(code, `${args.join(' ')}\n${err}`).toBe(2);
    expect(err).not.toBe('');
    expect(err).not.toContain('    at ');
  }
});

test('help is a success, and shows the options of all commands', async () => {
  const { code, out } = await run(['add', '--help']);
  expect(code).toBe(0);
  expect(out).toContain('Usage: inferql models add');
  expect(out).toContain('--models-dir');
});

test('models that are refused end with 1, and with 4 if others are ready', async () => {
  expect(await run(['prepare', 'broken'])).toMatchObject({ code: 1 });
  expect(await run(['prepare'])).toMatchObject({ code: 4, err: expect.stringContaining('broken is refused') });
  expect(await run(['prepare', 'good'])).toMatchObject({ code: 0 });
  expect(await run(['add', 'none.onnx'])).toMatchObject({ code: 1 });
});

test('a reader that leaves early changes nothing; a full disk is a failure', async () => {
  expect(await run(['list'], '| true')).toMatchObject({ err: 'code 0\n' });
  expect(await run(['check', 'broken'], '| true')).toMatchObject({ err: 'code 1\n' });
  if (process.platform !== 'linux') return;
  const { code, err } = await run(['list'], '> /dev/full');
  expect(code).toBe(1);
  expect(err).toMatch(/^the output cannot be written: .*ENOSPC.*\ncode 1\n$/);
});
