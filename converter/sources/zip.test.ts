import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { zip } from './zip.fixture.ts';
import { unpackZip } from './zip.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-zip-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('a hostile zip', () => {
  test.each([
    ['that leaves its folder', [{ name: '../outside.txt', data: 'x' }], /invalid relative path/],
    ['that leaves it later', [{ name: 'a/../../outside.txt', data: 'x' }], /invalid relative path/],
    ['with an absolute path', [{ name: '/tmp/outside.txt', data: 'x' }], /absolute path/],
    ['with backslashes', [{ name: '..\\outside.txt', data: 'x' }], /invalid characters/],
    ['with a link', [{ name: 'link', data: '/etc/passwd', mode: 0o120777 }], /is a link/],
    [
      'with one file twice',
      [
        { name: 'a', data: 'x' },
        { name: 'a', data: 'y' },
      ],
      /EEXIST/,
    ],
  ])('%s is refused', async (_, entries, message) => {
    const archive = path.join(root, 'hostile.zip');
    await writeFile(archive, zip(entries));
    await expect(unpackZip(archive, path.join(root, 'in'))).rejects.toThrow(message);
    expect((await readdir(root)).filter((name) => name.startsWith('outside'))).toEqual([]);
  });

  test('that claims to be huge, or is not a zip at all, is refused', async () => {
    const archive = path.join(root, 'hostile.zip');
    const bytes = zip([{ name: 'bomb', data: 'x' }]);
    const entry = bytes.indexOf('PK\x01\x02');
    bytes.writeUInt16LE(8, entry + 10);
    bytes.writeUInt32LE(0xf0000000, entry + 24);
    await writeFile(archive, bytes);
    await expect(unpackZip(archive, path.join(root, 'in'))).rejects.toThrow(/more than 2 GB/);
    await writeFile(archive, 'nothing of the kind');
    await expect(unpackZip(archive, path.join(root, 'in'))).rejects.toThrow(/not a zip archive/);
  });
});
