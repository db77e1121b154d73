import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';
import { ModelError } from '../errors.ts';

const MAX_ENTRIES = 10_000;
const MAX_TOTAL_BYTES = 2 ** 31;
const FILE_TYPE_MASK = 0o170000;
const LINK_TYPE = 0o120000;

/**
 * Unpacks a zip archive.
 * @throws ModelError SOURCE_INVALID for paths that leave the folder, links, encryption, and sizes that no model has
 */
export async function unpackZip(file: string, folder: string): Promise<void> {
  const refuse = (reason: string, cause?: unknown) =>
    new ModelError('SOURCE_INVALID', `${path.basename(file)}: ${reason}`, { cause });
  // Strict names and checked sizes: yauzl itself refuses "..", absolute paths, and entries longer than they say.
  const options = { lazyEntries: true, strictFileNames: true, validateEntrySizes: true, autoClose: false } as const;
  let archive: yauzl.ZipFile;
  try {
    archive = await yauzl.openPromise(file, options);
  } catch (cause) {
    throw refuse('not a zip archive', cause);
  }
  try {
    if (archive.entryCount > MAX_ENTRIES) throw refuse(`holds ${archive.entryCount} entries`);
    let total = 0;
    for await (const entry of archive.eachEntry()) {
      total += entry.uncompressedSize;
      if (total > MAX_TOTAL_BYTES) throw refuse('holds more than 2 GB');
      const name = nameOf(entry);
      if (((entry.externalFileAttributes >>> 16) & FILE_TYPE_MASK) === LINK_TYPE) throw refuse(`${name} is a link`);
      if (entry.isEncrypted()) throw refuse(`${name} is encrypted`);
      if (name.endsWith('/')) continue;
      const target = path.resolve(folder, name);
      if (!target.startsWith(path.resolve(folder) + path.sep)) throw refuse(`${name} leaves the archive`);
      await mkdir(path.dirname(target), { recursive: true });
      await pipeline(await archive.openReadStreamPromise(entry), createWriteStream(target, { flags: 'wx' }));
    }
  } catch (error) {
    throw error instanceof ModelError ? error : refuse((error as Error).message, error);
  } finally {
    archive.close();
  }
}

/** Many programs write names in UTF-8 without saying so; yauzl then takes them for those of DOS. */
function nameOf({ fileName, fileNameRaw }: yauzl.Entry): string {
  try {
    const name = new TextDecoder('utf-8', { fatal: true }).decode(fileNameRaw);
    return yauzl.validateFileName(name) === null ? name : fileName;
  } catch {
    return fileName;
  }
}
