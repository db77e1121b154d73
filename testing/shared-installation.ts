/** One installation for several test files, made once per state of the sources. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFile,
  link,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { SHIPPED_PACKAGES } from '@inferql/launcher/build/dist-packages';
import { waitForLock } from '@inferql/launcher/lock';
import { projectDir } from './build.ts';

const buildsDir = join(projectDir, '.inferql', 'test-builds');
const SKIPPED_FOLDER = /(^|\/)(node_modules|dist|generated)(\/|$)/;

/**
 * The folder of the installation of these packages. The first caller makes it; others wait for that one.
 * @param others names and versions of packages from the registry
 * @param install installs in an empty folder
 */
export async function findSharedInstallation(
  others: readonly string[],
  install: (folder: string) => Promise<void>,
): Promise<string> {
  await mkdir(buildsDir, { recursive: true });
  const dir = join(buildsDir, `installed-${await digestPackages(others)}`);
  const lock = await waitForLock(join(buildsDir, 'installed.lock'), () => undefined);
  try {
    if (await isThere(dir)) return dir;
    // Of other sources, or left by a run that was killed. Files that are linked elsewhere stay there.
    for (const name of await readdir(buildsDir)) {
      if (/^installed-/.test(name)) await rm(join(buildsDir, name), { recursive: true, force: true });
    }
    const unfinished = `${dir}.unfinished`;
    await mkdir(unfinished);
    // Otherwise npm would install in the next folder above that has a package.json: the project.
    await writeFile(join(unfinished, 'package.json'), '{ "private": true }');
    await install(unfinished);
    await rename(unfinished, dir);
    return dir;
  } finally {
    lock.release();
  }
}

/**
 * Copies a folder without its files' contents: hard links, or copies if `to` is on another file system.
 * @param to an empty folder
 */
export async function linkFiles(from: string, to: string): Promise<void> {
  try {
    // An installation has tens of thousands of files: one program links them faster than calls from here.
    await promisify(execFile)('cp', ['-al', `${from}/.`, to]);
  } catch {
    await rm(to, { recursive: true, force: true });
    await linkEach(from, to);
  }
}

/** For a `cp` that cannot link, and for another file system. */
async function linkEach(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkEach(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else await link(source, target).catch(() => copyFile(source, target));
  }
}

/** Changes if the tarballs, or what is installed next to them, would. */
async function digestPackages(others: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(others));
  const roots = [...SHIPPED_PACKAGES, 'web', 'models/resnet50', 'models/samples'];
  const paths = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'LICENSE'];
  for (const root of roots) {
    for (const entry of await readdir(join(projectDir, root), { recursive: true, withFileTypes: true })) {
      const path = relative(projectDir, join(entry.parentPath, entry.name));
      if (entry.isFile() && !SKIPPED_FOLDER.test(path) && !/\.test\.tsx?$/.test(path)) paths.push(path);
    }
  }
  for (const path of paths.sort()) hash.update(`${path}\n`).update(await readFile(join(projectDir, path)));
  return hash.digest('hex').slice(0, 16);
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
