import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('it says why tests are skipped that need missing files', async () => {
  const root = mkdtempSync(join(tmpdir(), 'inferql-reporter-'));
  try {
    writeFileSync(
      join(root, 'some.test.js'),
      `describe.skip('files (needs ../shared/files)', () => { test('one', () => {}); test('two', () => {}); });
      test('any', () => {});`,
    );
    const reporter = `--reporter=${join(import.meta.dirname, 'progress-reporter.ts')}`;
    const args = ['node_modules/vitest/vitest.mjs', 'run', '--root', root, '--globals', reporter];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NO_COLOR: '1' } });
    expect(stdout).toMatch(
      /skipped because \.\.\/shared\/files is missing: 2\n.*1 of 1 files, 1 tests passed, 0 failed/,
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});
