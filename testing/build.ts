import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { bundlePrograms } from '@inferql/launcher/build/bundle';
import { BUILD_STAMP, isCodeBuilt } from '@inferql/launcher/build/compile';
import { assembleDist, SHIPPED_PACKAGES } from '@inferql/launcher/build/dist-packages';
import { digestFiles, listFiles } from '@inferql/launcher/build-stamps';
import { waitForLock } from '@inferql/launcher/lock';

export { bundledProgram } from '@inferql/launcher/build/bundle';

export const projectDir = join(import.meta.dirname, '..');

/** What `npm start` builds, and `npm test` right before the tests. */
export const project = { dir: projectDir, distDir: join(projectDir, 'dist') };

const NOT_SHIPPED = ['e2e/ledger'];
const FOLDERS = [...SHIPPED_PACKAGES, ...NOT_SHIPPED];
const MAINS = ['server/main', 'worker/main', 'cli/main', 'e2e/ledger/main'];
const buildsDir = join(projectDir, '.inferql', 'test-builds');
const KEEP_MS = 60 * 60 * 1000;

/** A name for what is built from these files: it changes if a path or content does. @param paths relative to the project */
export function nameBuild(kind: string, paths: readonly string[]): string {
  return `${kind}-${digestFiles(projectDir, paths).slice(0, 16)}`;
}

async function compile(dir: string): Promise<void> {
  const isCopied = await copyBuilt(project.distDir, dir, () => isCodeBuilt(project));
  const folders = isCopied ? NOT_SHIPPED : FOLDERS;
  await mkdir(dir, { recursive: true });
  const config = join(dir, 'tsconfig.json');
  await writeFile(
    config,
    JSON.stringify({
      extends: join(projectDir, 'tsconfig.build.json'),
      compilerOptions: {
        rootDir: projectDir,
        outDir: dir,
        noEmitOnError: false,
        typeRoots: [join(projectDir, 'node_modules/@types')],
      },
      include: folders.map((folder) => join(projectDir, folder)),
      exclude: ['**/node_modules', '**/*.test.ts', '**/*.fixture.ts', '**/test/**'].map((pattern) =>
        join(projectDir, pattern),
      ),
    }),
  );
  // The type check reports type errors; here it only matters whether the code can run.
  const tsc = join(projectDir, 'node_modules/typescript/bin/tsc');
  const output = await promisify(execFile)(process.execPath, [tsc, '-p', config, '--noCheck'], {
    cwd: projectDir,
  }).then(
    () => '',
    (error: { stdout?: string }) => error.stdout ?? String(error),
  );
  for (const main of MAINS) {
    await stat(join(dir, `${main}.js`)).catch(() => {
      throw new Error(`the build made no ${main}.js\n${output}`);
    });
  }
  assembleDist(projectDir, dir);
  if (!isCopied) await bundlePrograms(dir);
}

/**
 * Copies what is built of the present sources already.
 * @param from dist/ or a folder in it. Parts that have their own stamp are not copied
 * @param isCurrent whether it is of the present sources; asked again afterwards, since it may be replaced meanwhile
 * @returns whether `to` is complete; if not, nothing is left of it
 */
export async function copyBuilt(from: string, to: string, isCurrent: () => boolean): Promise<boolean> {
  if (!isCurrent()) return false;
  const parts = new Set([join(from, BUILD_STAMP), join(from, 'web')]);
  const options = { recursive: true, verbatimSymlinks: true, filter: (path: string) => !parts.has(path) };
  const isCopied = await cp(from, to, options).then(isCurrent, () => false);
  if (!isCopied) await rm(to, { recursive: true, force: true });
  return isCopied;
}

let built: Promise<string> | undefined;

/**
 * The folder with a build of the sources as they were at the first call, created if there is none. Each state of the sources has a separate
 * folder that never changes, so that a test's processes can be restarted while somebody edits or builds.
 * @throws with the compiler's output if nothing could be built
 */
export function buildSystem(): Promise<string> {
  built ??= buildSources();
  return built;
}

async function buildSources(): Promise<string> {
  const isSource = (path: string) => /\.(ts|lua|wasm|json)$/.test(path) && !/\.test\.ts$/.test(path);
  const sources = listFiles(projectDir, FOLDERS, isSource);
  const dir = join(
    buildsDir,
    nameBuild('system', ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', ...sources]),
  );
  await buildOnce(dir, async (fresh) => {
    await removeOldBuilds();
    await compile(fresh);
  });
  return dir;
}

/**
 * Builds into a fresh folder that becomes `dir`, unless that exists. Test files that want it at the same time wait for the first one.
 * @throws what `build` throws
 */
export async function buildOnce(dir: string, build: (fresh: string) => Promise<void>): Promise<void> {
  if (await isThere(dir)) return;
  await mkdir(dirname(dir), { recursive: true });
  const lock = await waitForLock(`${dir}.lock`, () => undefined);
  const fresh = `${dir}.${randomBytes(4).toString('hex')}`;
  try {
    if (await isThere(dir)) return;
    await build(fresh);
    await rename(fresh, dir);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  } finally {
    lock.release();
  }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function removeOldBuilds(): Promise<void> {
  for (const name of await readdir(buildsDir)) {
    const path = join(buildsDir, name);
    const made = await stat(path).catch(() => undefined);
    if (name.startsWith('system-') && made && Date.now() - made.mtimeMs > KEEP_MS)
      await rm(path, { recursive: true, force: true });
  }
}
