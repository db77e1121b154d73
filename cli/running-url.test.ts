import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { defaultUrl } from './command-context.ts';
import { findRunningUrl } from './running-url.ts';

const URL = 'http://127.0.0.1:4100';
let dir: string;
const record = (pid: number, url = URL) =>
  writeFileSync(join(dir, `running-${pid}.json`), JSON.stringify({ pid, url }));

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-running-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('the one system that runs from the folder is found on its port', () => {
  record(process.pid);
  expect(findRunningUrl(dir)).toBe(URL);
  expect(defaultUrl({ INFERQL_STATE_DIR: dir })).toBe(URL);
});

test('a named server wins', () => {
  record(process.pid);
  expect(defaultUrl({ INFERQL_STATE_DIR: dir, INFERQL_URL: 'http://other:1' })).toBe('http://other:1');
});

test('the record of a killed launcher does not count', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  record(child.pid!);
  expect(findRunningUrl(dir)).toBeUndefined();
  record(process.pid, 'http://127.0.0.1:4200');
  expect(findRunningUrl(dir)).toBe('http://127.0.0.1:4200');
});

test('if there are several systems, an unreadable record or none at all, nothing is guessed', () => {
  record(process.pid);
  record(process.ppid);
  expect(findRunningUrl(dir)).toBeUndefined();
  writeFileSync(join(dir, 'running-1.json'), '{');
  expect(findRunningUrl(dir)).toBeUndefined();
  expect(defaultUrl({ INFERQL_STATE_DIR: join(dir, 'none'), PORT: '4300' })).toBe('http://127.0.0.1:4300');
});
