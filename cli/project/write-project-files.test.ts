import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { findSettingMistakes, readSettings } from '@inferql/settings/settings';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { toPackageName, writeProject } from './write-project-files.ts';

const projectDir = join(import.meta.dirname, '../..');
const modelsDir = join(projectDir, 'models');
let dir: string;

beforeAll(() => {
  // Inside the project, so that packages are found.
  mkdirSync(join(projectDir, '.inferql'), { recursive: true });
  dir = mkdtempSync(join(projectDir, '.inferql/init-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a new project has a model, valid settings, and the packages of this version', async () => {
  const { written, kept } = await writeProject(dir, '1.2.3', modelsDir);
  expect(kept).toEqual([]);
  expect(written).toEqual(expect.arrayContaining(['.env', 'compose.yml', 'src/main.ts', 'models/resnet50']));
  const read = (path: string) => readFileSync(join(dir, path), 'utf8');
  expect(read('models/resnet50/model.json5')).toBe(readFileSync(join(modelsDir, 'resnet50/model.json5'), 'utf8'));
  const manifest = JSON.parse(read('package.json'));
  expect(manifest.dependencies).toEqual({ '@inferql/client': '1.2.3', inferql: '1.2.3' });
  const { overrides } = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8'));
  expect(manifest.overrides).toEqual({ protobufjs: overrides.protobufjs });
  const env = parseEnv(read('.env')) as Record<string, string>;
  expect(readSettings('launcher', env)).toMatchObject({ port: 4000, workers: 1 });
  expect(findSettingMistakes(env)).toEqual([]);
});

test('a folder is created with its parents', async () => {
  const { written } = await writeProject(join(dir, 'some/where'), '1.2.3', modelsDir);
  expect(written).toContain('package.json');
});

test('a folder that cannot be created ends with the reason', async () => {
  await expect(writeProject('/proc/shop', '1.2.3', modelsDir)).rejects.toThrow("mkdir '/proc");
});

test('its front end compiles in strict mode', () => {
  const tsc = join(projectDir, 'node_modules/typescript/bin/tsc');
  const options = ['-p', join(dir, 'tsconfig.json'), '--allowImportingTsExtensions'];
  expect(() => execFileSync(process.execPath, [tsc, ...options], { stdio: 'pipe' })).not.toThrow();
});

test('its front end finds InferQL at the port in .env', async () => {
  vi.stubEnv('PORT', undefined);
  writeFileSync(join(dir, '.env'), 'PORT=5000\n');
  const { default: config } = await import(join(dir, 'vite.config.js'));
  const readTarget = () => config().server.proxy['/graphql'].target;
  expect(readTarget()).toBe('http://127.0.0.1:5000');
  writeFileSync(join(dir, '.env'), 'PORT=\n');
  expect(readTarget()).toBe('http://127.0.0.1:4000');
});

test('existing files are kept', async () => {
  writeFileSync(join(dir, '.env'), 'PORT=1\n');
  const { written, kept } = await writeProject(dir, '1.2.3', modelsDir);
  expect(written).toEqual([]);
  expect(kept).toEqual(expect.arrayContaining(['.env', 'models/resnet50']));
  expect(readFileSync(join(dir, '.env'), 'utf8')).toBe('PORT=1\n');
});

test('an existing package.json keeps all it has, and gets the scripts and packages that it lacks', async () => {
  const existing = join(dir, 'existing');
  mkdirSync(existing);
  const path = join(existing, 'package.json');
  // As `npm init -y` and `npm install inferql` leave it.
  const found = {
    name: 'shop',
    type: 'commonjs',
    scripts: { test: 'exit 1', dev: 'nodemon' },
    dependencies: { inferql: 'file:inferql.tgz' },
  };
  writeFileSync(path, JSON.stringify(found));
  const { added, kept, written, start } = await writeProject(existing, '1.2.3', modelsDir);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
    ...found,
    scripts: {
      ...found.scripts,
      start: 'inferql serve ./models',
      build: 'tsc && vite build',
      types: expect.stringContaining('inferql types'),
    },
    dependencies: { inferql: 'file:inferql.tgz', '@inferql/client': '1.2.3' },
    devDependencies: { typescript: expect.any(String), vite: expect.any(String) },
    overrides: { protobufjs: expect.any(String) },
  });
  expect(added).toEqual(expect.arrayContaining(['scripts.start', 'dependencies.@inferql/client']));
  expect([start, kept]).toEqual(['npm start', []]);
  // Its other packages may need their install scripts.
  expect(written).not.toContain('.npmrc');
  expect((await writeProject(existing, '1.2.3', modelsDir)).added).toEqual([]);
});

test('a package that the project depends on gets no override, which npm would refuse', async () => {
  const existing = mkdtempSync(join(dir, 'direct-'));
  const path = join(existing, 'package.json');
  writeFileSync(path, JSON.stringify({ dependencies: { protobufjs: '^8.0.0' } }));
  const { added } = await writeProject(existing, '1.2.3', modelsDir);
  expect(added).not.toContain('overrides.protobufjs');
  expect(JSON.parse(readFileSync(path, 'utf8'))).not.toHaveProperty('overrides');
});

test.each([
  ['another start script', '{ "scripts": { "start": "node ." } }'],
  ['no JSON', 'name: shop'],
])('with %s in package.json, the command is named instead of npm start', async (_what, text) => {
  const existing = mkdtempSync(join(dir, 'other-'));
  const path = join(existing, 'package.json');
  writeFileSync(path, text);
  const { start } = await writeProject(existing, '1.2.3', modelsDir);
  expect(start).toBe('npx inferql serve ./models');
  expect(readFileSync(path, 'utf8')).toContain(text.match(/node \.|name: shop/)![0]);
});

test.each([
  ['My Project!', 'my-project'],
  ['ünï', 'n'],
  ['', 'inferql-project'],
  ['--', 'inferql-project'],
])("a folder '%s' makes the package '%s'", (folder, name) => {
  expect(toPackageName(folder)).toBe(name);
});
