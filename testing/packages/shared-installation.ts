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
import { projectDir } from '../build.ts';

const buildsDir = join(projectDir, '.inferql', 'test-builds');
const UNFINISHED = '.unfinished';
/** npm writes them in place, and so would change the files of the other folder. */
const REWRITTEN = ['package.json', 'package-lock.json', 'node_modules/.package-lock.json'];
const SKIPPED_FOLDER = /(^|\/)(node_modules|dist|generated)(\/|$)/;

export interface Installers {
  /** Installs the packed packages in a folder that contains only a package.json. */
  installPackages: (folder: string) => Promise<void>;
  /** Adds packages from the registry to a copy of that. */
  addOthers: (folder: string) => Promise<void>;
}

/**
 * The folder of an installation of all packages. The first caller makes it; others wait for that one.
 * @param others names and versions of packages from the registry, which are added to the installation without any
 */
export async function findSharedInstallation(
  others: readonly string[],
  { installPackages, addOthers }: Installers,
): Promise<string> {
  await mkdir(buildsDir, { recursive: true });
  const digest = await digestPackages();
  const lock = await waitForLock(join(buildsDir, 'installed.lock'), () => undefined);
  try {
    // Of other sources, or left by a run that was killed. Files that are linked elsewhere stay there.
    for (const name of await readdir(buildsDir)) {
      if (/^installed-/.test(name) && (!name.startsWith(`installed-${digest}`) || name.endsWith(UNFINISHED)))
        await rm(join(buildsDir, name), { recursive: true, force: true });
    }
    const alone = join(buildsDir, `installed-${digest}`);
    await makeOnce(alone, async (folder) => {
      // Otherwise npm would install in the next folder above that has a package.json: the project.
      await writeFile(join(folder, 'package.json'), '{ "private": true }');
      await installPackages(folder);
    });
    if (others.length === 0) return alone;
    const together = `${alone}-${digestOf(JSON.stringify(others))}`;
    await makeOnce(together, async (folder) => {
      await linkFiles(alone, folder);
      await addOthers(folder);
    });
    return together;
  } finally {
    lock.release();
  }
}

async function makeOnce(dir: string, fill: (folder: string) => Promise<void>): Promise<void> {
  if (await isThere(dir)) return;
  const unfinished = `${dir}${UNFINISHED}`;
  await mkdir(unfinished);
  await fill(unfinished);
  await rename(unfinished, dir);
}

/**
 * Copies an installation without its files' contents: hard links, or copies if `to` is on another file system. What npm rewrites is copied.
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
  for (const name of REWRITTEN) {
    if (!(await isThere(join(from, name)))) continue;
    await rm(join(to, name));
    await copyFile(join(from, name), join(to, name));
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

/** Changes if the tarballs would. */
async function digestPackages(): Promise<string> {
  const hash = createHash('sha256');
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

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
