import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { watchFolder } from './watch-folder.ts';

let folder: string;
let end: () => void;
let changes = 0;
let heard: (() => void) | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-watch-'));
  changes = 0;
  end = watchFolder(folder, () => {
    changes++;
    heard?.();
  });
});
afterEach(async () => {
  end();
  await rm(folder, { recursive: true, force: true });
});

/** Resolves at the next call of onChange. */
const nextChange = () =>
  new Promise<void>((resolve) => {
    heard = resolve;
  });

// Shorter than the interval of the regular check.
const SOON = { timeout: 8_000 };

test('each time a folder is added, changed, replaced or removed, it is reported', SOON, async () => {
  const model = join(folder, 'model');
  for (const change of [
    () => mkdir(model),
    () => writeFile(join(model, 'model.json5'), '1'),
    async () => {
      await rm(model, { recursive: true });
      await mkdir(model);
    },
    () => writeFile(join(model, 'model.json5'), '2'),
    async () => {
      await mkdir(join(folder, '.staging'));
      await rename(join(folder, '.staging'), join(folder, 'other'));
    },
    () => writeFile(join(folder, 'other', 'weights.bin'), '3'),
    () => rm(model, { recursive: true }),
  ]) {
    const changed = nextChange();
    await change();
    await changed;
  }
});

test('what is written piece by piece is reported once', SOON, async () => {
  const model = join(folder, 'model');
  await mkdir(model);
  const changed = nextChange();
  for (let part = 0; part < 50; part++) await writeFile(join(model, `part-${part}`), 'x');
  await changed;
  expect(changes).toBe(1);
});
