/** Borders between packages: each imports only what its package.json lists, and nothing that ships depends on test support. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { SHIPPED_PACKAGES, SUPPORT_PACKAGES } from '@inferql/launcher/build/dist-packages';
import { projectDir } from '@inferql/testing/build';
import { expect, test } from 'vitest';
import * as z from 'zod';

const Dependencies = z.record(z.string(), z.string()).default({});
const Manifest = z.object({
  name: z.string(),
  dependencies: Dependencies,
  devDependencies: Dependencies,
  optionalDependencies: Dependencies,
  peerDependencies: Dependencies,
  files: z.array(z.string()).default([]),
});
const { workspaces } = z
  .object({ workspaces: z.array(z.string()) })
  .parse(JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8')));

const IMPORT = /(?:\bfrom\s+|\bimport\(\s*|\bimport\s+)'([^']+)'/g;
// Data that is not code: pictures for the page.
const SHARED_FILES = /^models\/samples\//;

interface Source {
  path: string;
  isTest: boolean;
  imports: string[];
}

function readSources(folder: string): Source[] {
  return readdirSync(join(projectDir, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.tsx?$/.test(path) && !/(^|\/)(node_modules|generated)\//.test(path))
    .map((path) => ({
      path: join(folder, path),
      isTest: /\.test\.tsx?$|\.fixture\.ts$|(^|\/)(test|golden)\//.test(path),
      imports: [...readFileSync(join(projectDir, folder, path), 'utf8').matchAll(IMPORT)].map(([, name]) => name!),
    }));
}

const readManifest = (folder: string) =>
  Manifest.parse(JSON.parse(readFileSync(join(projectDir, folder, 'package.json'), 'utf8')));

/** Whether the `files` of a package.json exclude a file from what is published: entries such as `!setup` or `!main.*`. */
function isLeftOut(folder: string, path: string): boolean {
  const top = relative(folder, path).split('/')[0]!.split('.')[0]!;
  return readManifest(folder).files.some((pattern) => pattern === `!${top}` || pattern === `!${top}.*`);
}

/** `@inferql/queue` of `@inferql/queue/contract`. */
const packageOf = (name: string) =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');

test.each(workspaces)('%s reaches into no other package by a relative path', (folder) => {
  for (const { path, imports } of readSources(folder)) {
    const outside = imports
      .filter((name) => name.startsWith('.'))
      .map((name) => relative(projectDir, join(projectDir, dirname(path), name)))
      .filter((target) => !target.startsWith(`${folder}/`) && !SHARED_FILES.test(target));
    expect(outside, path).toEqual([]);
  }
});

test.each(SHIPPED_PACKAGES)('what %s ships imports only what its package.json lists', (folder) => {
  const { name: self, dependencies, optionalDependencies, peerDependencies } = readManifest(folder);
  const listed = new Set(Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }));
  for (const { path, isTest, imports } of readSources(folder)) {
    if (isTest || isLeftOut(folder, path)) continue;
    const leftOut = imports
      .filter((name) => name.startsWith('.'))
      .filter((name) => isLeftOut(folder, join(dirname(path), name)));
    expect(leftOut, path).toEqual([]);
    const unlisted = imports
      .filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
      .map(packageOf)
      .filter((name) => name !== self && !listed.has(name));
    expect(unlisted, path).toEqual([]);
  }
});

test('nothing that ships depends on tests, benchmarks or what they share', () => {
  const support = SUPPORT_PACKAGES.map((folder) => readManifest(folder).name);
  for (const folder of SHIPPED_PACKAGES) {
    const { dependencies, optionalDependencies, peerDependencies } = readManifest(folder);
    const listed = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    expect(listed.filter((name) => support.includes(name))).toEqual([]);
  }
});

test('the queue knows neither server nor worker, and the server no engine', () => {
  const ours = (folder: string) =>
    Object.keys(readManifest(folder).dependencies).filter((name) => name.startsWith('@inferql/'));
  expect(ours('queue').filter((name) => name !== '@inferql/settings')).toEqual([]);
  expect(ours('server')).not.toContain('@inferql/worker');
  expect(ours('server')).not.toContain('@inferql/converter');
  expect(Object.keys(readManifest('client').dependencies)).toEqual([]);
});

// npm installs what a linked workspace needs for development, too, also with --omit=dev.
test.each(['queue', 'settings', 'images'])('%s adds no engine to the server image', (folder) => {
  const { dependencies, devDependencies } = readManifest(folder);
  const engines = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => /tensorflow|onnx/.test(name));
  expect(engines).toEqual([]);
});

test('models/ holds data only', () => {
  const code = readdirSync(join(projectDir, 'models'), { recursive: true, encoding: 'utf8' });
  expect(code.filter((path) => /\.(ts|js|mjs)$/.test(path))).toEqual([]);
});
