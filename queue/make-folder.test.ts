import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolder } from './make-folder.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'inferql-make-folder-'));
});
afterEach(() => rmSync(root, { recursive: true }));

test('missing folders are created with the mode; existing ones, and links to them, are kept', () => {
  const folder = join(root, 'a/b');
  makeFolder(folder, 0o700);
  expect([join(root, 'a'), folder].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700]);
  symlinkSync(folder, join(root, 'link'));
  writeFileSync(join(folder, 'kept'), '');
  for (const path of [folder, join(root, 'link')]) makeFolder(path);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(existsSync(join(folder, 'kept'))).toBe(true);
});

test('a file in the way, or a link that leads nowhere, is an error', () => {
  writeFileSync(join(root, 'file'), '');
  expect(() => makeFolder(join(root, 'file'))).toThrow('EEXIST');
  expect(() => makeFolder(join(root, 'file/below'))).toThrow('ENOTDIR');
  symlinkSync(join(root, 'missing'), join(root, 'link'));
  expect(() => makeFolder(join(root, 'link/below'))).toThrow('ENOTDIR');
});

test.runIf(existsSync('/proc/self'))('a folder that says ENOENT although the one above is there is an error', () => {
  expect(() => makeFolder('/proc/inferql/state')).toThrow('ENOENT');
});
