/** What the commands say about folders that cannot be written to. */

const WAY_OUT = 'choose folders for models and state with --models-dir and --state-dir';

/** A sentence for a read-only or full disk, a folder of somebody else, or a path that leads to no folder; undefined for other errors. */
export function describeDiskError(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, path, dest = path ?? 'the disk' } = error as NodeJS.ErrnoException & { dest?: string };
  switch (code) {
    case 'EROFS':
      return `${dest} is on a read-only disk: ${WAY_OUT}`;
    case 'EACCES':
    case 'EPERM':
      return `${dest} cannot be written to with your rights: ${WAY_OUT}`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `no space is left for ${dest}: free some, or ${WAY_OUT}`;
    case 'ENOTDIR':
    case 'ELOOP':
      return `${dest} is not a folder, or leads through something that is not one: ${WAY_OUT}`;
    default:
      return undefined;
  }
}
