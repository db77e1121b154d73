import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCompanions } from '../inspect/companion-files.ts';
import { readDefaultModel } from '../repository/default-model.ts';
import { readLabels } from '../spec/labels.ts';
import { readSpec } from '../spec/spec-file.ts';
import { MAX_TEXT_BYTES, readTextFile } from './text-file.ts';

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'inferql-text-')), 'tiny');
  await mkdir(folder);
});
afterEach(() => rm(join(folder, '..'), { recursive: true }));

const ODD: Record<string, { make: (file: string) => unknown; says: RegExp }> = {
  'a device': { make: (file) => symlink('/dev/zero', file), says: /is not a file/ },
  'a pipe': { make: (file) => execFileSync('mkfifo', [file]), says: /is not a file/ },
  'a folder': { make: (file) => mkdir(file), says: /is not a file/ },
  'a link to itself': { make: (file) => symlink(file, file), says: /ELOOP/ },
  'a link to nothing': { make: (file) => symlink('nowhere', file), says: /ENOENT/ },
  'a file of gigabytes': {
    make: async (file) => {
      await writeFile(file, '');
      await truncate(file, 8 * 2 ** 30);
    },
    says: /has 8589934592 bytes, more than 16777216/,
  },
};

describe.each(Object.entries(ODD))('%s in a model’s folder', (_what, { make, says }) => {
  test('is refused at once as a text', async () => {
    await make(join(folder, 'text'));
    await expect(readTextFile(join(folder, 'text'))).rejects.toThrow(says);
  });

  test('is refused by name where labels are expected', async () => {
    await make(join(folder, 'labels.txt'));
    await expect(readLabels(join(folder, 'labels.txt'))).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      message: expect.stringMatching(/^labels labels\.txt cannot be read: /),
    });
  });

  test('is neither a spec nor a companion of a model, and names no default model', async () => {
    await make(join(folder, 'model.json5'));
    await expect(readSpec(folder)).rejects.toMatchObject({ code: 'SPEC_INVALID' });
    await make(join(folder, 'config.json'));
    expect(await readCompanions(folder)).toEqual({});
    await make(join(folder, '..', 'repository.json5'));
    expect(await readDefaultModel(join(folder, '..'))).toBeUndefined();
  });
});

test('a link to a file is that file, and a text of the largest size is read', async () => {
  await writeFile(join(folder, '..', 'elsewhere'), 'x'.repeat(MAX_TEXT_BYTES));
  await symlink(join('..', 'elsewhere'), join(folder, 'text'));
  expect((await readTextFile(join(folder, 'text'))).length).toBe(MAX_TEXT_BYTES);
});
