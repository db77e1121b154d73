import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openProject } from './project.ts';
import { SetupError } from './terminal.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-project-'));
  vi.stubEnv('INFERQL_STATE_DIR', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

test('settings are read from .env, also behind a byte order mark; the environment wins', () => {
  writeFileSync(join(dir, '.env'), '\uFEFFINFERQL_STATE_DIR=state\r\nINFERQL_MODELS_DIR=other\r\n');
  vi.stubEnv('INFERQL_MODELS_DIR', 'mine');
  expect(openProject(dir)).toMatchObject({ stateDir: join(dir, 'state'), modelsDir: join(dir, 'mine') });
});

test('a folder .env, which is a virtual environment of Python, has no settings', () => {
  mkdirSync(join(dir, '.env'));
  expect(openProject(dir).stateDir).toBe(join(dir, '.inferql'));
});

test('a .env that cannot be read is named, without a stack', () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');
  expect(() => openProject(file)).toThrow(SetupError);
  expect(() => openProject(file)).toThrow(/Cannot read the settings: ENOTDIR.*\.env/);
});
