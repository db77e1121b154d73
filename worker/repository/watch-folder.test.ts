import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { watchFolder } from './watch-folder.ts';

let folder: string;
let end: (() => void) | undefined;
let changes = 0;
let heard: (() => void) | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-watch-'));
});
afterEach(async () => {
  end?.();
  await rm(folder, { recursive: true, force: true });
});

/** Resolves at the next call of onChange. */
const nextChange = () =>
  new Promise<void>((resolve) => {
    heard = resolve;
  });

/** Without the regular check, so that what is reported was noticed when it happened. */
function watch(options: { quietMs?: number } = {}): void {
  changes = 0;
  const onChange = () => {
    changes++;
    heard?.();
  };
  end = watchFolder(folder, onChange, { lookEveryMs: 3_600_000, ...options });
}

test('each time a folder is added, changed, replaced or removed, it is reported', async () => {
  watch();
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

test('what changes in a folder that is a link, and another target of the link, is reported', async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), 'inferql-watch-'));
  onTestFinished(() => rm(elsewhere, { recursive: true, force: true }));
  for (const name of ['a', 'b']) await mkdir(join(elsewhere, name));
  const link = join(folder, 'model');
  await symlink(join(elsewhere, 'a'), link);
  watch();
  for (const change of [
    () => writeFile(join(elsewhere, 'a', 'model.json5'), '1'),
    async () => {
      await symlink(join(elsewhere, 'b'), join(folder, '.next'));
      await rename(join(folder, '.next'), link);
    },
    () => writeFile(join(elsewhere, 'b', 'model.json5'), '2'),
  ]) {
    const changed = nextChange();
    await change();
    await changed;
  }
});

test('what is written piece by piece is reported once', async () => {
  // Longer than a pause between two writes on a machine that is busy.
  watch({ quietMs: 2_000 });
  const model = join(folder, 'model');
  await mkdir(model);
  const changed = nextChange();
  for (let part = 0; part < 50; part++) await writeFile(join(model, `part-${part}`), 'x');
  await changed;
  expect(changes).toBe(1);
});
