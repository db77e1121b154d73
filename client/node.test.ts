import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createClient } from './node.ts';

const NOBODY = 65_534;

test('the error of a file that cannot be read says why', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'inferql-node-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  await writeFile(join(dir, 'locked.png'), 'x', { mode: 0o000 });
  execFileSync('mkfifo', [join(dir, 'pipe.png')]);
  // The superuser may read everything.
  if (process.getuid!() === 0) {
    process.seteuid!(NOBODY);
    onTestFinished(() => process.seteuid!(0));
  }
  const client = createClient({ fetch: () => Promise.reject(new Error('nothing must be sent')) });
  const explain = (name: string) =>
    client.classify(join(dir, name), { retryForMs: 0 }).catch(({ code, message }) => `${code} ${message}`);
  expect(await explain('gone.png')).toBe('UNREADABLE_FILE The file cannot be read: it does not exist.');
  expect(await explain('caf\ufffd.png')).toBe('UNREADABLE_FILE The file cannot be read: its name is not UTF-8.');
  expect(await explain('locked.png')).toBe('UNREADABLE_FILE The file cannot be read: permission denied.');
  for (const name of ['pipe.png', '.']) {
    expect(await explain(name)).toBe('UNREADABLE_FILE The file cannot be read: it is a folder, a pipe or a device.');
  }
});
