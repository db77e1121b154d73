/** Digests of a finished folder's files. What a disk, a crash or a person has changed since is noticed, and made again. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

const SEAL_FILE = '.digests.json';
/** SHA-256 by path inside the folder. */
const sealSchema = z.record(z.string(), z.string());

/** Writes the digests of all files of a folder. Call it last. Files that are added later do not belong to it. */
export async function sealFolder(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  // Links lead to what others own.
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const digests = await Promise.all(files.map(async (file) => [path.relative(folder, file), await digestFile(file)]));
  await writeFile(path.join(folder, SEAL_FILE), JSON.stringify(Object.fromEntries(digests)));
}

/** Whether a sealed folder is there and every file in it is as it was. Reads all of them: a second for a few hundred megabytes. */
export async function isIntact(folder: string): Promise<boolean> {
  try {
    const seal = sealSchema.parse(JSON.parse(await readFile(path.join(folder, SEAL_FILE), 'utf8')));
    for (const [name, digest] of Object.entries(seal)) {
      if ((await digestOnce(path.join(folder, name))) !== digest) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Removes a folder in one step: no half of it is left under its name. */
export async function discardFolder(folder: string): Promise<void> {
  const aside = path.join(path.dirname(folder), `.staging-${process.pid}-${randomBytes(4).toString('hex')}`);
  await rename(folder, aside).catch((cause: NodeJS.ErrnoException) => {
    // Another process may have removed it before.
    if (cause.code !== 'ENOENT') throw cause;
  });
  await rm(aside, { recursive: true, force: true });
}

const known = new Map<string, { signature: string; digest: Promise<string> }>();

/** The digest of a file, computed again only if the system says that the file has changed since this process has read it. */
async function digestOnce(file: string): Promise<string> {
  const { size, mtimeMs, ctimeMs, ino } = await stat(file);
  const signature = `${size}:${mtimeMs}:${ctimeMs}:${ino}`;
  const before = known.get(file);
  if (before?.signature === signature) return before.digest;
  const digest = digestFile(file);
  known.set(file, { signature, digest });
  // A failure may have another cause than the file, such as too many open files.
  digest.catch(() => known.delete(file));
  return digest;
}

async function digestFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
