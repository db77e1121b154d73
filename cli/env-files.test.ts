import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addEnvFiles } from './env-files.ts';

let root: string;
let dir: string;
let clone: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'inferql-env-files-'));
  dir = join(root, 'current');
  clone = join(root, 'clone');
  for (const folder of [dir, clone]) mkdirSync(folder);
});
afterEach(() => rmSync(root, { recursive: true }));

function read(env: Record<string, string>, cloneDir?: string): NodeJS.ProcessEnv {
  const changed: NodeJS.ProcessEnv = { ...env };
  addEnvFiles(changed, cloneDir, dir);
  return changed;
}

test('settings of the current folder are added, and the environment wins, also if it is empty', () => {
  writeFileSync(join(dir, '.env'), "# shop\nINFERQL_PREFIX=shop\nPORT='5000'\nREDIS_URL=redis://:a@b\n");
  expect(read({ PORT: '4100', REDIS_URL: '' })).toEqual({ INFERQL_PREFIX: 'shop', PORT: '4100', REDIS_URL: '' });
});

test('a byte order mark and lines of Windows are not parts of names and values', () => {
  writeFileSync(join(dir, '.env'), '\uFEFFPORT=5000\r\nexport INFERQL_PREFIX="shop"\r\n');
  expect(read({})).toEqual({ PORT: '5000', INFERQL_PREFIX: 'shop' });
});

test("a clone's settings, state folder and models are the defaults in other folders", () => {
  const models = { INFERQL_MODELS_DIR: join(clone, 'models') };
  expect(read({}, clone)).toEqual({ ...models, INFERQL_STATE_DIR: join(clone, '.inferql') });
  expect(read({ INFERQL_MODELS_DIR: 'own' }, clone)).toMatchObject({ INFERQL_MODELS_DIR: 'own' });
  writeFileSync(join(clone, '.env'), 'INFERQL_STATE_DIR=state\nINFERQL_PREFIX=shop\nPORT=5000\n');
  writeFileSync(join(dir, '.env'), 'PORT=5001\n');
  const expected = { ...models, INFERQL_PREFIX: 'shop', PORT: '5001' };
  expect(read({}, clone)).toEqual({ ...expected, INFERQL_STATE_DIR: join(clone, 'state') });
  expect(read({ INFERQL_STATE_DIR: '' }, clone)).toEqual({ ...expected, INFERQL_STATE_DIR: join(clone, '.inferql') });
  // A path in the environment or in the current folder's file is relative to the current folder.
  expect(read({ INFERQL_STATE_DIR: 'own' }, clone)).toEqual({ ...expected, INFERQL_STATE_DIR: 'own' });
  writeFileSync(join(dir, '.env'), 'INFERQL_STATE_DIR=here\n');
  expect(read({}, clone)).toMatchObject({ INFERQL_STATE_DIR: 'here' });
});

test('no file, and a folder of that name, count as no settings; a file that cannot be read is a failure', () => {
  expect(read({})).toEqual({});
  mkdirSync(join(dir, '.env'));
  expect(read({})).toEqual({});
  rmSync(dir, { recursive: true });
  writeFileSync(dir, '');
  expect(() => read({})).toThrow(/Cannot read the settings: ENOTDIR.*\.env/);
});
