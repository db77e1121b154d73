/** Builds from sources: typed documents, dist/, the web page. Each is built aside, renamed, and has its own stamp. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestFiles, digestPackages, listFiles, readStamp, removeStamp, writeStamp } from '../build-stamps.ts';
import type { Project } from '../project.ts';
import { runPackageScript } from '../run-tool.ts';
import { SetupError, showStep } from '../terminal.ts';
import { bundlePrograms } from './bundle.ts';
import { assembleDist, SHIPPED_PACKAGES } from './dist-packages.ts';

const WITH_DOCUMENTS = ['client', 'e2e'];
/** In a built folder: the digest of what it was built from. */
export const BUILD_STAMP = '.built-from';
/** Otherwise Vite writes its configuration into node_modules, which may belong to another user or be read-only. */
export const VITE_CONFIG = ['--configLoader', 'runner'];
const NOT_COMPILED = ['**/node_modules', '**/*.test.ts', '**/*.fixture.ts', '**/test/**'];

const isTest = (path: string) => /\.test\.tsx?$/.test(path);

/** Typed documents for the client and the tests, from schema.graphql. */
export async function generateDocuments(project: Project): Promise<void> {
  const { dir, stampsDir } = project;
  const isSource = (path: string) => /\.(graphql|tsx?)$/.test(path) && !path.includes('/generated/');
  const documents = listFiles(dir, WITH_DOCUMENTS, isSource).filter(
    (path) => path.endsWith('.graphql') || readFileSync(join(dir, path), 'utf8').includes('graphql('),
  );
  const digest = digestFiles(dir, ['schema.graphql', 'codegen.ts', ...documents], digestPackages(dir));
  const stampPath = join(stampsDir, 'documents');
  const isThere = WITH_DOCUMENTS.every((folder) => existsSync(join(dir, folder, 'generated')));
  if (isThere && readStamp(stampPath) === digest) return;
  removeStamp(stampPath);
  await showStep('Generating typed documents', () =>
    runPackageScript(project, 'codegen', '@graphql-codegen/cli/cjs/bin.js', ['--config', 'codegen.ts']),
  );
  writeStamp(stampPath, digest);
}

/** dist/ with everything that is shipped. */
export async function buildCode(project: Project): Promise<void> {
  const mains = ['server/main.js', 'worker/main.js', 'converter/main.js'];
  await compilePackages(project, 'Building', SHIPPED_PACKAGES, project.distDir, mains);
}

/**
 * Compiles what is shipped directly into `distDir`, and writes only what has changed. For a folder that nobody else uses. A kill leaves
 * it incomplete, and the next call completes it.
 */
export async function compileInPlace(project: Project): Promise<void> {
  const { dir, distDir } = project;
  mkdirSync(distDir, { recursive: true });
  const config = join(distDir, 'tsconfig.json');
  const description = describeCompilation(dir, SHIPPED_PACKAGES, distDir);
  const incremental = { incremental: true, tsBuildInfoFile: join(distDir, '.tsbuildinfo') };
  writeFileSync(
    config,
    JSON.stringify({ ...description, compilerOptions: { ...description.compilerOptions, ...incremental } }),
  );
  await showStep('Compiling', () =>
    runPackageScript(project, 'tsc', 'typescript/bin/tsc', ['-p', config], { acceptCodes: [1, 2] }),
  );
  assembleDist(dir, distDir);
}

/** The benchmarks and what they measure. They are not shipped, so they are not in dist/. */
export async function buildBench(project: Project): Promise<void> {
  const folders = [...SHIPPED_PACKAGES, 'testing', 'bench'];
  await compilePackages(project, 'Building the benchmarks', folders, project.benchDir, ['bench/main.js']);
}

async function compilePackages(
  project: Project,
  title: string,
  folders: readonly string[],
  outDir: string,
  mains: readonly string[],
): Promise<void> {
  const { dir, unfinishedDir } = project;
  const digest = digestCode(dir, folders);
  if (readStamp(join(outDir, BUILD_STAMP)) === digest) return;
  const fresh = join(unfinishedDir, `build-${process.pid}`);
  await showStep(title, async () => {
    mkdirSync(fresh, { recursive: true });
    const config = join(unfinishedDir, `tsconfig-${process.pid}.json`);
    writeFileSync(config, JSON.stringify(describeCompilation(dir, folders, fresh)));
    // The checks look for type errors, not the start. Exit code 2 is 'emitted, with errors'.
    const args = ['-p', config, '--noCheck'];
    await runPackageScript(project, 'tsc', 'typescript/bin/tsc', args, { acceptCodes: [2] });
    for (const main of mains) {
      if (!existsSync(join(fresh, main)))
        throw new SetupError(`The build did not produce ${main}: see .inferql/logs/tsc.log`);
    }
    assembleDist(dir, fresh);
    await bundlePrograms(fresh);
  });
  writeStamp(join(fresh, BUILD_STAMP), digest);
  // The page has its own stamp and is moved along; after a kill between the two renames it is built again.
  if (existsSync(join(outDir, 'web'))) renameSync(join(outDir, 'web'), join(fresh, 'web'));
  replaceFolder(fresh, outDir);
}

function digestCode(dir: string, folders: readonly string[]): string {
  const sources = listFiles(dir, folders, (path) => !isTest(path) && !path.includes('/generated/'));
  const inputs = ['schema.graphql', 'tsconfig.json', 'tsconfig.build.json', ...sources];
  return digestFiles(dir, inputs, digestPackages(dir));
}

/** Whether dist/ is what `buildCode` would build now. */
export function isCodeBuilt({ dir, distDir }: Pick<Project, 'dir' | 'distDir'>): boolean {
  return readStamp(join(distDir, BUILD_STAMP)) === digestCode(dir, SHIPPED_PACKAGES);
}

function describeCompilation(dir: string, folders: readonly string[], outDir: string) {
  return {
    extends: join(dir, 'tsconfig.build.json'),
    compilerOptions: {
      rootDir: dir,
      outDir,
      noEmitOnError: false,
      typeRoots: [join(dir, 'node_modules/@types')],
    },
    include: folders.map((folder) => join(dir, folder)),
    exclude: NOT_COMPILED.map((pattern) => join(dir, pattern)),
  };
}

/** dist/web with the page that the server serves at `/`. */
export async function buildPage(project: Project): Promise<void> {
  const { dir, distDir, unfinishedDir } = project;
  if (!existsSync(join(dir, 'web/index.html'))) return;
  const digest = digestPage(dir);
  const pageDir = join(distDir, 'web');
  if (readStamp(join(pageDir, BUILD_STAMP)) === digest) return;
  const fresh = join(unfinishedDir, `web-${process.pid}`);
  const args = ['build', 'web', ...VITE_CONFIG, '--outDir', fresh, '--emptyOutDir', '--logLevel', 'warn'];
  await showStep('Building the web page', () => runPackageScript(project, 'vite', 'vite/bin/vite.js', args));
  writeStamp(join(fresh, BUILD_STAMP), digest);
  replaceFolder(fresh, pageDir);
}

function digestPage(dir: string): string {
  const sources = listFiles(dir, ['web', 'client'], (path) => !isTest(path));
  return digestFiles(dir, ['schema.graphql', 'tsconfig.json', ...sources], digestPackages(dir));
}

/** Whether dist/web is what `buildPage` would build now. */
export function isPageBuilt({ dir, distDir }: Pick<Project, 'dir' | 'distDir'>): boolean {
  return readStamp(join(distDir, 'web', BUILD_STAMP)) === digestPage(dir);
}

function replaceFolder(fresh: string, target: string): void {
  const old = `${fresh}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
}
