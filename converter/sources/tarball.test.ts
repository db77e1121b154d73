import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as tar from 'tar';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unpackFiles } from './tarball.ts';

let root: string;
beforeEach(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'inferql-tarball-'));
  mkdirSync(path.join(root, 'package/weights'), { recursive: true });
  writeFileSync(path.join(root, 'package/weights/1.bin'), 'weights');
  await tar.c({ gzip: true, file: path.join(root, 'package.tgz'), cwd: root }, ['package']);
});
afterEach(() => rmSync(root, { recursive: true }));

test('the named files are unpacked', async () => {
  await unpackFiles(path.join(root, 'package.tgz'), path.join(root, 'to'), ['weights/1.bin']);
  expect(readFileSync(path.join(root, 'to/weights/1.bin'), 'utf8')).toBe('weights');
});

test('a file that cannot be written, as on a full disk, is an error', async () => {
  // In the way of the file.
  mkdirSync(path.join(root, 'to/weights/1.bin/other'), { recursive: true });
  const unpacked = unpackFiles(path.join(root, 'package.tgz'), path.join(root, 'to'), ['weights/1.bin']);
  await expect(unpacked).rejects.toMatchObject({ code: 'ENOTEMPTY' });
});
