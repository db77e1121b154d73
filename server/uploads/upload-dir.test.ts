import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openUploadDir } from './upload-dir.ts';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'inferql-uploads-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

test('the folder is private, and gone after its removal', () => {
  const uploadDir = openUploadDir(stateDir);
  expect(statSync(uploadDir.dir).mode & 0o777).toBe(0o700);
  uploadDir.remove();
  expect(readdirSync(join(stateDir, 'uploads'))).toEqual([]);
});

test('files of dead processes are removed, those of living ones are not', () => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  for (const name of [`${dead}-abc`, `${process.ppid}-abc`, 'odd']) {
    mkdirSync(join(stateDir, 'uploads', name), { recursive: true });
    writeFileSync(join(stateDir, 'uploads', name, 'capacitor-1.tmp'), 'x');
  }
  const uploadDir = openUploadDir(stateDir);
  expect(existsSync(join(stateDir, 'uploads', `${dead}-abc`))).toBe(false);
  expect(existsSync(join(stateDir, 'uploads', 'odd'))).toBe(false);
  expect(existsSync(join(stateDir, 'uploads', `${process.ppid}-abc`))).toBe(true);
  expect(readdirSync(uploadDir.dir)).toEqual([]);
});

test('the folder is known by its process, whose earlier ones are removed: in a container its id is the same after every start', () => {
  const first = openUploadDir(stateDir);
  const second = openUploadDir(stateDir);
  expect(readdirSync(join(stateDir, 'uploads'))).toEqual([basename(second.dir)]);
  for (const { dir } of [first, second]) expect(basename(dir)).toMatch(new RegExp(`^${process.pid}-`));
});

test('a folder that cannot be written to is named, with its setting', () => {
  // A file where a folder should be: the user of the tests may be one who may write everywhere.
  const file = join(stateDir, 'file');
  writeFileSync(file, '');
  expect(() => openUploadDir(file)).toThrow(`Uploads cannot be written to '${file}' (ENOTDIR). Set INFERQL_STATE_DIR`);
});
