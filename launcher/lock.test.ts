import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tryLock, waitForLock } from './lock.mjs';

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-lock-'));
  path = join(dir, 'a.lock');
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a lock has one holder, whose process id the others get, until it is released', async () => {
  const lock = tryLock(path);
  expect(lock.taken).toBe(true);
  expect(tryLock(path)).toEqual({ taken: false, holderPid: process.pid });
  const holders: number[] = [];
  const waiting = waitForLock(path, (pid) => holders.push(pid));
  if (lock.taken) lock.release();
  (await waiting).release();
  expect(holders).toEqual([process.pid]);
  expect(readdirSync(dir)).toEqual([]);
});

test('a lock that a killed process left is taken at once', () => {
  const module = pathToFileURL(join(import.meta.dirname, 'lock.mjs')).href;
  const program = `const { tryLock } = await import(${JSON.stringify(module)}); tryLock(${JSON.stringify(path)}); process.kill(process.pid, 'SIGKILL');`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', program]);
  expect(signal).toBe('SIGKILL');
  expect(readdirSync(dir)).toEqual(['a.lock']);
  expect(tryLock(path).taken).toBe(true);
});
