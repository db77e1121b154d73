/** The client as users get it: built, packed and unpacked. publint and attw check all packages in e2e/packages.test.ts. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { projectDir } from '@inferql/testing/build';
import { packPackage } from '@inferql/testing/packages/pack-package';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const MAX_BROWSER_BYTES = 12_000;

let dir: string;
let packageDir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-package-'));
  const tarball = await packPackage('client', dir);
  packageDir = join(dir, 'user/node_modules/@inferql/client');
  await mkdir(packageDir, { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', packageDir]);
});

afterAll(() => rm(dir, { recursive: true, force: true }));

test('unpacked, it type-checks without anything else installed, and runs', async () => {
  const packages = join(dir, 'user/node_modules');
  await mkdir(join(packages, '@types'));
  await symlink(join(projectDir, 'node_modules/@types/node'), join(packages, '@types/node'));
  await symlink(join(projectDir, 'node_modules/undici-types'), join(packages, 'undici-types'));
  await writeFile(
    join(dir, 'user/main.mts'),
    `import { createClient, InferqlError, type Prediction } from '@inferql/client';
import { createClient as createNodeClient } from '@inferql/client/node';
const client = createNodeClient({ url: 'http://127.0.0.1:9', retryForMs: 0 });
export const inBrowser = (): Promise<Prediction> => createClient().classify(new Blob([]));
// @ts-expect-error only the client for Node takes paths
export const wrong = () => createClient().classify('a.jpg');
client.models().catch((error: unknown) => {
  if (error instanceof InferqlError) console.log(error.code);
});
`,
  );
  const options = ['--module', 'nodenext', '--target', 'es2023', '--strict', '--types', 'node'];
  await run(join(projectDir, 'node_modules/.bin/tsc'), [...options, 'main.mts'], { cwd: join(dir, 'user') });
  const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: join(dir, 'user') });
  expect(stdout).toBe('UNREACHABLE\n');
});

test('it has no dependencies', async () => {
  const manifest = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8'));
  const { dependencies, optionalDependencies, peerDependencies } = manifest;
  expect({ dependencies, optionalDependencies, peerDependencies }).toEqual({});
  const files = (await readdir(packageDir, { recursive: true })).filter((name) => name.endsWith('.js'));
  expect(files).toContain('index.js');
  const code = await Promise.all(files.map((name) => readFile(join(packageDir, name), 'utf8')));
  expect(code.join('')).not.toMatch(/from '(?!\.|node:)/);
});

test(`for browsers, all of it is smaller than ${MAX_BROWSER_BYTES} bytes compressed`, async () => {
  // Throws if something is imported that only Node has.
  const { outputFiles } = await build({
    stdin: { contents: "export * from '@inferql/client';", resolveDir: join(dir, 'user') },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  });
  expect(outputFiles).toEqual([expect.objectContaining({ text: expect.stringContaining('classifyImage') })]);
  expect(gzipSync(outputFiles[0]!.contents).length).toBeLessThan(MAX_BROWSER_BYTES);
});

test('source maps have the code that they refer to, which is not in the package', async () => {
  const files = (await readdir(packageDir, { recursive: true })).filter((name) => name.endsWith('.js.map'));
  expect(files).toContain('index.js.map');
  for (const name of files) {
    const { sources, sourcesContent } = JSON.parse(await readFile(join(packageDir, name), 'utf8'));
    expect(sourcesContent, name).toEqual(sources.map(() => expect.any(String)));
  }
});
