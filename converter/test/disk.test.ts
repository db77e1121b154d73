/** What the commands say if they cannot write. Nobody may write into /sys, not even root. */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeDiskError } from '../files/disk-errors.ts';

const MODEL = path.join(import.meta.dirname, 'exported/torch-softmax/model.onnx');
let root: string;
beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), 'inferql-disk-'));
  cpSync(path.resolve(import.meta.dirname, '../../models/samples'), path.join(root, 'models/samples'), {
    recursive: true,
  });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.skipIf(process.platform !== 'linux').each(['--models-dir', '--state-dir'])(
  'a folder that cannot be written to ends add with one sentence: %s',
  async (flag) => {
    const folders = { '--models-dir': path.join(root, 'models'), '--state-dir': path.join(root, 'state') };
    const main = bundledProgram(await buildSystem(), 'converter/main');
    const args = Object.entries({ ...folders, [flag]: '/sys/inferql' }).flat();
    const run = promisify(execFile)(process.execPath, [main, ...args, 'add', MODEL, '--name', 'net']);
    const { code, stderr } = await run.then(
      () => ({ code: 0, stderr: '' }),
      (error: { code: number; stderr: string }) => error,
    );
    expect(code).toBe(1);
    const lines = stderr.trim().split('\n');
    expect(lines.at(-1)).toMatch(
      /\/sys\/inferql\S* (is on a read-only disk|cannot be written to with your rights): choose folders .*--models-dir/,
    );
    expect(stderr).not.toContain('    at ');
  },
);

test.skipIf(process.platform !== 'linux')('a full disk is called so, and other errors are not explained', () => {
  let full: unknown;
  try {
    writeFileSync('/dev/full', 'x');
  } catch (error) {
    full = error;
  }
  expect(describeDiskError(full)).toMatch(/^no space is left for .*: free some, or choose folders/);
  expect(describeDiskError(new Error('no'))).toBeUndefined();
});

test.skipIf(process.platform === 'win32')(
  'a path through a file, or a link to nothing, is not called a fault of ours',
  async () => {
    const [file, link] = [path.join(root, 'file'), path.join(root, 'link')];
    writeFileSync(file, '');
    symlinkSync(path.join(root, 'nothing'), link);
    for (const place of [path.join(file, 'state'), path.join(link, 'state')]) {
      const failed = await mkdir(place, { recursive: true }).catch((error: unknown) => error);
      expect(describeDiskError(failed)).toMatch(/\/(file|link)\S* is not a folder, or leads .*: choose folders/);
    }
  },
);
