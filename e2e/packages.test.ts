/** Every package as it would be published: what is in its tarball, and what publint and attw report. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { SHIPPED_PACKAGES } from '@inferql/launcher/build/dist-packages';
import { projectDir } from '@inferql/testing/build';
import { packPackages } from '@inferql/testing/packages/installed-packages';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';

const run = promisify(execFile);
/** Builds first, if the sources have changed. */
const PACK_TIMEOUT_MS = 600_000;
const bin = (name: string) => join(projectDir, 'node_modules/.bin', name);
const folders = [...SHIPPED_PACKAGES, 'web'];
const REPOSITORY = { GITHUB_SERVER_URL: 'https://git.example.org', GITHUB_REPOSITORY: 'team/inferql' };

const Entry = z.union([z.string(), z.object({ types: z.string(), default: z.string() })]);
const Versions = z.record(z.string(), z.string()).default({});
const Manifest = z.object({
  name: z.string(),
  version: z.string(),
  description: z.string().min(20),
  license: z.literal('MIT'),
  type: z.literal('module'),
  private: z.never().optional(),
  engines: z.object({ node: z.string() }),
  repository: z.object({ type: z.literal('git'), url: z.string(), directory: z.string() }),
  publishConfig: z.object({ access: z.literal('public'), provenance: z.literal(true) }),
  types: z.string().optional(),
  exports: z.record(z.string(), Entry),
  files: z.array(z.string()),
  dependencies: Versions,
  devDependencies: z.never().optional(),
  scripts: z.never().optional(),
});

interface Packed {
  tarball: string;
  dir: string;
  files: string[];
  manifest: z.infer<typeof Manifest>;
}

let dir: string;
const packages = new Map<string, Packed>();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-packages-'));
  for (const tarball of await packPackages(join(dir, 'tarballs'), REPOSITORY)) {
    const unpacked = await mkdtemp(join(dir, 'unpacked-'));
    await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', unpacked]);
    const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(unpacked.length + 1));
    const manifest = Manifest.parse(JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')));
    packages.set(manifest.repository.directory, { tarball, dir: unpacked, files, manifest });
  }
}, PACK_TIMEOUT_MS);

afterAll(() => rm(dir, { recursive: true, force: true }));

/** The package of a folder of the project. */
function packedFrom(folder: string): Packed {
  const packed = packages.get(folder);
  if (!packed) throw new Error(`${folder} was not packed: ${[...packages.keys()]}`);
  return packed;
}

/** Every entry that `exports` offers code under: attw itself skips patterns such as `./*`. */
function listEntries({ files, manifest }: Packed): string[] {
  return Object.entries(manifest.exports).flatMap(([name, target]) => {
    if (typeof target === 'string') return [];
    if (!name.includes('*')) return [name];
    const [before = '', after = ''] = target.types.slice('./'.length).split('*');
    return files
      .filter((path) => path.startsWith(before) && path.endsWith(after))
      .map((path) => name.replace('*', path.slice(before.length, -after.length)));
  });
}

test('every workspace that is not private is packed', async () => {
  const { workspaces } = JSON.parse(await readFile(join(projectDir, 'package.json'), 'utf8'));
  const isPublished = async (folder: string) =>
    !JSON.parse(await readFile(join(projectDir, folder, 'package.json'), 'utf8')).private;
  const published = [];
  for (const folder of workspaces) if (await isPublished(folder)) published.push(folder);
  expect([...packages.keys()].sort()).toEqual(published.sort());
});

describe.each(folders)('%s', (folder) => {
  test('publint finds no problem', async () => {
    const { stdout } = await run(bin('publint'), ['run', packedFrom(folder).tarball, '--strict']).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toContain('All good!');
  });

  test('attw finds the types of every entry right', async () => {
    const packed = packedFrom(folder);
    const entries = listEntries(packed);
    // The page and the command have no code to import.
    expect(entries.length === 0).toBe(folder === 'web' || folder === 'cli');
    if (entries.length === 0) return;
    // The library, because each call of its command would load a compiler.
    const analysis = await checkPackage(createPackageFromTarballData(await readFile(packed.tarball)), {
      entrypoints: entries,
    });
    if (!analysis.types) throw new Error('attw finds no types');
    expect(Object.keys(analysis.entrypoints).sort()).toEqual(entries.sort());
    // Modules alone: Node 20.20 requires them just as well.
    const isChecked = ({ kind, resolutionKind }: { kind: string; resolutionKind?: string }) =>
      kind !== 'CJSResolvesToESM' && resolutionKind !== 'node10' && resolutionKind !== 'node16-cjs';
    expect(analysis.problems.filter(isChecked)).toEqual([]);
  });

  test('it says what it is, where it comes from and what it needs', () => {
    const { manifest } = packedFrom(folder);
    expect(manifest.name).toBe(folder === 'cli' ? 'inferql' : `@inferql/${folder}`);
    expect(manifest.engines.node).toBe('>=20.20');
    expect(manifest.repository.url).toBe('git+https://git.example.org/team/inferql.git');
    if (manifest.exports['.']) expect(manifest.types).toBe('./index.d.ts');
    for (const [name, version] of Object.entries(manifest.dependencies)) {
      if (name.startsWith('@inferql/')) expect([name, version]).toEqual([name, manifest.version]);
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
  });

  test('it holds code, types, license and README, and no tests or sources', () => {
    const { files } = packedFrom(folder);
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']));
    const unwanted =
      /(^|\/)(tests?|golden|node_modules)\/|\.(test|fixture)\.|(?<!\.d)\.tsx?$|tsconfig|tsbuildinfo|(^|\/)\./;
    expect(files.filter((path) => unwanted.test(path))).toEqual([]);
    if (folder === 'web') return;
    const code = files.filter((path) => path.endsWith('.js')).map((path) => path.slice(0, -'.js'.length));
    expect(code.length).toBeGreaterThan(0);
    expect(code.filter((path) => !files.includes(`${path}.d.ts`))).toEqual([]);
  });

  test('its source maps hold their sources', async () => {
    const packed = packedFrom(folder);
    if (folder === 'web') return;
    for (const path of packed.files.filter((name) => name.endsWith('.js'))) {
      const map = JSON.parse(await readFile(join(packed.dir, `${path}.map`), 'utf8'));
      const source = path.replace(/\.js$/, '.ts');
      expect([path, map.sources]).toEqual([path, [source.split('/').at(-1)]]);
      expect(map.sourcesContent).toEqual([await readFile(join(projectDir, folder, source), 'utf8')]);
    }
  });

  test('its README says how to install it, and links to pages that exist', async () => {
    const { dir, manifest } = packedFrom(folder);
    const readme = await readFile(join(dir, 'README.md'), 'utf8');
    expect(readme.startsWith(`# ${manifest.name}\n`)).toBe(true);
    expect(readme).toMatch(folder === 'launcher' ? /npm install inferql\n/ : `npm install ${manifest.name}\n`);
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => normalize(join(folder, link!)));
    // The registry resolves them from the repository's address and the package's folder in it.
    expect(links.some((link) => link.startsWith('docs/'))).toBe(true);
    expect(links.filter((link) => !existsSync(join(projectDir, link)))).toEqual([]);
  });

  const testEntry = ['server', 'worker', 'client'].includes(folder) ? test : () => undefined;
  testEntry('each function that it exports has an example', async () => {
    const { dir, manifest } = packedFrom(folder);
    const entries = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : entry.types));
    const declared: string[] = [];
    for (const entry of entries.filter((path) => !path.includes('*') && path !== './main.d.ts')) {
      const types = await readFile(join(dir, entry), 'utf8');
      const files = [...types.matchAll(/^export \{[^}]+\} from '(\.[^']+)'/gm)].map(([, path]) =>
        path!.replace(/\.(ts|js)$/, '.d.ts'),
      );
      const exported = new Set(
        [...types.matchAll(/^export \{ ([^}]+) \} from/gm)].flatMap(([, names]) => names!.split(', ')),
      );
      for (const path of [entry, ...files]) {
        const text = await readFile(join(dir, path), 'utf8');
        for (const [, comment, name] of text.matchAll(
          /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?export declare function (\w+)/g,
        )) {
          if (path !== entry && !exported.has(name!)) continue;
          declared.push(name!);
          expect([path, name, comment]).toEqual([path, name, expect.stringContaining('@example')]);
        }
      }
    }
    expect(declared.length).toBeGreaterThan(0);
  });

  test('what its README imports exists', async () => {
    const packed = packedFrom(folder);
    const readme = await readFile(join(packed.dir, 'README.md'), 'utf8');
    for (const [, names, from] of readme.matchAll(/^import \{ ([^}]+) \} from '([^']+)'/gm)) {
      if (!from!.startsWith(packed.manifest.name)) continue;
      const entry = from!.replace(packed.manifest.name, '.');
      expect(listEntries(packed)).toContain(entry);
      const types = await readFile(join(packed.dir, entry === '.' ? 'index.d.ts' : `${entry}.d.ts`), 'utf8');
      for (const name of names!.split(', ')) expect(types).toMatch(new RegExp(`export .*\\b${name}\\b`));
    }
  });
});
