import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { createStateDirs, openProject, type Project } from '../project.ts';
import { buildPage, generateDocuments } from './compile.ts';

let dir: string;
let project: Project;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'inferql-build-')));
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  project = openProject(dir);
  createStateDirs(project);
});
afterEach(() => rmSync(dir, { recursive: true }));

test('the page is built if nothing can be written to node_modules', async () => {
  for (const folder of ['web', 'node_modules', 'dist']) mkdirSync(join(dir, folder));
  symlinkSync(realpathSync('node_modules/vite'), join(dir, 'node_modules/vite'));
  // Also root, who may write to every folder, cannot write to one below a file.
  writeFileSync(join(dir, 'node_modules/.vite-temp'), '');
  writeFileSync(join(dir, 'web/index.html'), '<!doctype html><title>A page</title>');
  writeFileSync(join(dir, 'web/vite.config.ts'), 'export default { root: import.meta.dirname as string };\n');
  await buildPage(project);
  expect(existsSync(join(project.distDir, 'web/index.html'))).toBe(true);
});

test('an invalid GraphQL document is named', async () => {
  // It is silent in tests.
  vi.stubEnv('NODE_ENV', undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const file of ['codegen.ts', 'schema.graphql']) copyFileSync(file, join(dir, file));
  symlinkSync(realpathSync('node_modules'), join(dir, 'node_modules'));
  mkdirSync(join(dir, 'client'));
  writeFileSync(join(dir, 'client/wrong.graphql'), 'query Wrong { noSuchField }');
  const message = expect.stringMatching(/"noSuchField" on type "Query"\.\s+at .*client\/wrong\.graphql:1:15/);
  await expect(generateDocuments(project)).rejects.toMatchObject({ message });
});
