import { access, mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as tar from 'tar';
import { ModelError } from '../errors.ts';

const MAX_ENTRY_BYTES = 2 ** 31;

/**
 * Unpacks the named files of a package's tarball into `folder`, at the same relative paths.
 * @throws ModelError SOURCE_INVALID for a file that is not there, or that is a link or a device; the system's error for one that cannot be
 * written completely
 */
export async function unpackFiles(file: string, folder: string, wanted: readonly string[]): Promise<void> {
  const names = new Set(wanted);
  let refused: string | undefined;
  let failure: Error | undefined;
  await mkdir(folder, { recursive: true });
  await tar.x({
    file,
    cwd: folder,
    strip: 1,
    noChmod: true,
    noMtime: true,
    // tar continues after a file that it cannot write, for example because the disk is full.
    onwarn: (_code, _message, data) => {
      if (data instanceof Error) failure ??= data;
    },
    filter: (entryPath, entry) => {
      const name = entryPath.split('/').slice(1).join('/');
      if (!names.has(name)) return false;
      const { type, size } = entry as tar.ReadEntry;
      if ((type === 'File' || type === 'OldFile') && size <= MAX_ENTRY_BYTES) return true;
      refused = `${name} is a ${type} of ${size} bytes`;
      return false;
    },
  });
  if (failure) throw failure;
  if (refused) throw new ModelError('SOURCE_INVALID', `the package holds what is not a plain file: ${refused}`);
  for (const name of names) {
    await access(path.join(folder, name)).catch((cause: unknown) => {
      throw new ModelError('SOURCE_INVALID', `the package has no file ${name}`, { cause });
    });
  }
}
