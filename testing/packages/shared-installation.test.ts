import { mkdir, mkdtemp, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { removeFolder } from '../processes/remove-folder.ts';
import { linkFiles } from './shared-installation.ts';

test.each(['package.json', 'package-lock.json', 'node_modules/.package-lock.json'])(
  'what npm writes into %s of one installation does not reach the other, whose modules it shares',
  async (rewritten) => {
    const dir = await realpath(await mkdtemp(join(tmpdir(), 'inferql-linked-')));
    onTestFinished(() => removeFolder(dir));
    const [from, to, module] = [join(dir, 'from'), join(dir, 'to'), 'node_modules/one/index.js'];
    await mkdir(join(from, 'node_modules/one'), { recursive: true });
    await writeFile(join(from, module), 'one');
    await writeFile(join(from, rewritten), 'before');
    await mkdir(to);

    await linkFiles(from, to);
    await writeFile(join(to, rewritten), 'after');

    expect(await readFile(join(from, rewritten), 'utf8')).toBe('before');
    expect((await stat(join(to, module))).ino).toBe((await stat(join(from, module))).ino);
  },
);
