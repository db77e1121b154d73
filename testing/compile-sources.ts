import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assemblePackages } from '../scripts/setup/assemble.mjs';

const root = join(import.meta.dirname, '..');

export interface Compiled {
  /** The folder that stands for the project's root: `join(dir, 'worker/engines/process/engine-process-main.js')`. */
  dir: string;
  remove(): Promise<void>;
}

/**
 * Compiles the named source files (paths from the project's root) and what they import, as the build does, so that a test can
 * start them as processes without a build of the whole project that may be older than the sources.
 * @throws with the compiler's output where a type is wrong.
 */
export async function compileSources(files: string[]): Promise<Compiled> {
  // Inside the project, so that packages are found.
  const dir = join(root, '.inferql', 'test-builds', randomBytes(6).toString('hex'));
  await mkdir(dir, { recursive: true });
  const config = join(dir, 'tsconfig.json');
  await writeFile(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.build.json'),
      compilerOptions: { rootDir: root, outDir: dir, sourceMap: false, typeRoots: [join(root, 'node_modules/@types')] },
      files: files.map((file) => join(root, file)),
      // What is imported by a package's name is not emitted unless it is named.
      include: await findPackages(files.map((file) => file.split('/')[0]!)),
    }),
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  try {
    await promisify(execFile)(process.execPath, [tsc, '-p', config], { cwd: root });
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw new Error(`tsc: ${(error as { stdout?: string }).stdout}`);
  }
  assemblePackages(root, dir);
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** Folders of the packages that the named ones depend on. */
async function findPackages(folders: string[], found = new Set<string>()): Promise<string[]> {
  for (const folder of folders) {
    const { dependencies = {} } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
    const needed = Object.keys(dependencies)
      .filter((name) => name.startsWith('@inferql/'))
      .map((name) => name.slice('@inferql/'.length))
      .filter((name) => !found.has(name));
    for (const name of needed) found.add(name);
    await findPackages(needed, found);
  }
  return [...found].map((name) => join(root, name));
}
