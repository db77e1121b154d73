import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { processExists } from '@inferql/queue/process-exists';
import { discardFolder, isIntact, sealFolder } from './folder-digests.ts';

const STAGING = /^\.staging-(\d+)-[0-9a-f]{8}$/;
/** What is being replaced, with the name that it had. */
const REPLACED = /^\.replaced-(\d+)-[0-9a-f]{8}-(.+)$/;
/** A folder whose process id does not exist here may belong to another container: give it time. */
const ABANDONED_AFTER_MS = 10 * 60_000;
/** A younger folder is not marked as new again. */
const NEW_FOR_MS = 60_000;
/** What this process has created. In a container, the process before it may have had the same id. */
const own = new Set<string>();

/**
 * Fills and seals a new folder next to `target` and renames it into place when `fill` is done: `target` exists completely or not at
 * all, and if two fill it at once, the first wins. A target that is not complete is replaced.
 * @param isComplete whether what is there can stay
 */
export async function stageFolder(
  target: string,
  fill: (folder: string) => Promise<void>,
  isComplete: (folder: string) => Promise<boolean> = isIntact,
): Promise<void> {
  const folder = await createStaging(path.dirname(target));
  try {
    await fill(folder);
    await sealFolder(folder);
    // Not before it is filled: another that fills it may have finished meanwhile.
    while (!(await moveInto(folder, target)) && !(await isComplete(target))) await discardFolder(target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Creates an empty folder whose name nobody else uses: the next container has the same process id, and would find what was left by this one. Also
 * removes what killed processes left in the parent.
 */
export async function createStaging(parent: string): Promise<string> {
  makeFolder(parent);
  await sweepAbandoned(parent);
  const folder = path.join(parent, `.staging-${process.pid}-${randomBytes(4).toString('hex')}`);
  own.add(folder);
  await mkdir(folder);
  return folder;
}

/** Whether the name was free. */
async function moveInto(folder: string, target: string): Promise<boolean> {
  try {
    await rename(folder, target);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM', 'ENOTDIR'].includes(code)) throw error;
    // An error of another kind, such as a parent that forbids it, has no target.
    await stat(target);
    return false;
  }
}

/**
 * Moves a folder in place of another with two renames. What a process that is killed between them leaves is put back by the next
 * `createStaging`.
 * @param folder next to `target`
 * @param keepOthers keep the files of `target` that the new folder does not have
 * @throws the system's error; what was replaced is then back, unless something else is in its place
 */
export async function replaceFolder(folder: string, target: string, keepOthers: boolean): Promise<void> {
  const [parent, name] = [path.dirname(target), path.basename(target)];
  const old = path.join(parent, `.replaced-${process.pid}-${randomBytes(4).toString('hex')}-${name}`);
  own.add(old);
  const now = new Date();
  // Its age is that of its replacement. A link may lead nowhere.
  await utimes(target, now, now).catch(() => undefined);
  await rename(target, old);
  try {
    await rename(folder, target);
  } catch (cause) {
    await rename(old, target).catch(() => undefined);
    throw cause;
  }
  // Behind a link are files of somebody else.
  if (keepOthers && !(await lstat(old)).isSymbolicLink()) await moveMissing(old, target);
  await rm(old, { recursive: true, force: true });
}

/** Moves the files that the other folder does not have. */
async function moveMissing(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    const found = await lstat(target).catch(() => undefined);
    if (found === undefined) await rename(source, target);
    else if (entry.isDirectory() && found.isDirectory()) await moveMissing(source, target);
  }
}

/** Removes what killed processes left behind, and puts back what they had moved aside and not replaced. */
async function sweepAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const [, id, replaced] = STAGING.exec(name) ?? REPLACED.exec(name) ?? [];
    const pid = Number(id);
    const folder = path.join(parent, name);
    if (!pid || (pid === process.pid ? own.has(folder) : processExists(pid))) continue;
    const age = Date.now() - ((await stat(folder).catch(() => undefined))?.mtimeMs ?? 0);
    if (age <= ABANDONED_AFTER_MS) continue;
    if (replaced !== undefined && !(await lstat(path.join(parent, replaced)).catch(() => undefined)))
      await rename(folder, path.join(parent, replaced));
    else await rm(folder, { recursive: true, force: true });
  }
}

/** Counts a finished folder as new for `sweepOldFolders`: it is in use again. */
export async function keepFolder(folder: string): Promise<void> {
  const now = new Date();
  const { mtimeMs } = await stat(folder);
  // A folder that cannot be written to is not swept, either.
  if (now.getTime() - mtimeMs > NEW_FOR_MS) await utimes(folder, now, now).catch(() => undefined);
}

/**
 * Removes the oldest of the folders whose names match, all but `keep` of them and `current`: workers may still serve
 * the versions before.
 */
export async function sweepOldFolders(parent: string, names: RegExp, keep: number, current: string): Promise<void> {
  const found = (await readdir(parent)).filter((name) => names.test(name) && name !== path.basename(current));
  const aged = await Promise.all(
    found.map(async (name) => ({
      name,
      madeMs: (await stat(path.join(parent, name)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  const old = aged.sort((a, b) => b.madeMs - a.madeMs).slice(keep - 1);
  for (const { name } of old) await rm(path.join(parent, name), { recursive: true, force: true });
}
