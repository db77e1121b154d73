import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runTool } from './run-tool.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-run-tool-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('a tool that cannot be recorded is ended, since no later start would find it', async () => {
  // In the way of the record, like a full disk.
  mkdirSync(join(dir, 'running-tool.json'));
  const code = `setInterval(() => {}, 1000); // ${dir}`;
  const tool = runTool({ dir, setupDir: dir, logsDir: dir }, 'tool', process.execPath, ['-e', code]);
  await expect(tool).rejects.toThrow(/EISDIR.*open/);
  expect(execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' })).not.toContain(code);
});
