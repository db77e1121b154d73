/** The package as users get it: built, packed and checked by tools for common packaging mistakes. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const projectDir = join(import.meta.dirname, '..');
const bin = (name: string) => join(projectDir, 'node_modules/.bin', name);

let dir: string;
let tarball: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-package-'));
  const staged = join(dir, 'staged');
  await mkdir(staged);
  await cp(join(import.meta.dirname, 'package.json'), join(staged, 'package.json'));
  await cp(join(import.meta.dirname, 'README.md'), join(staged, 'README.md'));
  await run(bin('tsc'), ['-p', join(import.meta.dirname, 'tsconfig.build.json'), '--outDir', join(staged, 'dist')]);
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: staged });
  tarball = join(dir, JSON.parse(stdout)[0].filename);
});

afterAll(() => rm(dir, { recursive: true, force: true }));

test('publint finds nothing', async () => {
  const { stdout } = await run(bin('publint'), ['run', join(dir, 'staged'), '--strict']);
  expect(stdout).toContain('All good!');
});

test('the types are found and right, wherever modules are', async () => {
  // There is no CommonJS entry: Node 20.20 can require modules.
  const { stdout } = await run(bin('attw'), [tarball, '--profile', 'esm-only', '--format', 'json', '--no-emoji']).catch(
    (error: { stdout: string }) => error,
  );
  const { analysis } = JSON.parse(stdout);
  const problems = analysis.problems.filter(
    ({ kind, resolutionKind }: { kind: string; resolutionKind: string }) =>
      kind !== 'CJSResolvesToESM' && resolutionKind !== 'node10',
  );
  expect(problems).toEqual([]);
});

test('unpacked, it type-checks without anything else installed, and runs', async () => {
  const packages = join(dir, 'user/node_modules');
  await mkdir(join(packages, '@inferql/client'), { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(packages, '@inferql/client')]);
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
  await run(bin('tsc'), [...options, 'main.mts'], { cwd: join(dir, 'user') });
  const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: join(dir, 'user') });
  expect(stdout).toBe('UNREACHABLE\n');
});

test('it has no dependencies, and is small', async () => {
  const staged = join(dir, 'staged');
  const { dependencies, peerDependencies } = JSON.parse(await readFile(join(staged, 'package.json'), 'utf8'));
  expect({ dependencies, peerDependencies }).toEqual({});
  const files = (await readdir(join(staged, 'dist'), { recursive: true })).filter((name) => name.endsWith('.js'));
  const code = await Promise.all(files.map((name) => readFile(join(staged, 'dist', name), 'utf8')));
  expect(code.join('').length).toBeLessThan(40_000);
  expect(code.join('')).not.toMatch(/from '(?!\.|node:)/);
});
