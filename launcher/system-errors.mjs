// What a person can do about errors of the system. Plain JavaScript, like lock.mjs: scripts/bootstrap.mjs needs it before anything is installed.
import { statfsSync } from 'node:fs';

const ADVICE = {
  ENOSPC: 'The disk is full. Free some space, then run the command again.',
  EDQUOT: "This user's disk quota is used up. Free some space, then run the command again.",
  EROFS: 'The file system is read-only.',
};
const ADVICE_ON_FILES =
  'This user has no right to do that. The file may belong to another user, for example after sudo.';
const ADVICE_ON_WATCHES =
  'This user watches too many files. Raise the limit, for example with: sysctl fs.inotify.max_user_watches=524288';
/** With less, a program that fails may not even be able to write why. */
const NEARLY_FULL_BYTES = 1024 * 1024;

/**
 * The message of an error of the system, and what to do about it, if that is known.
 * @param {NodeJS.ErrnoException} error
 */
export function describeSystemError(error) {
  const advice = findAdvice(error);
  return advice ? `${error.message}\n${advice}` : error.message;
}

/** @param {NodeJS.ErrnoException} error */
function findAdvice({ code, syscall, path }) {
  if (syscall === 'watch') return code === 'ENOSPC' || code === 'EMFILE' ? ADVICE_ON_WATCHES : undefined;
  // Without a path, it is about a port, a process or a connection.
  if (code === 'EACCES' || code === 'EPERM') return path === undefined ? undefined : ADVICE_ON_FILES;
  return ADVICE[code];
}

/**
 * A sentence if the disk of a folder is full, else an empty text.
 * @param {string} dir
 */
export function describeFullDisk(dir) {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize < NEARLY_FULL_BYTES ? `The disk of ${dir} is full. Free some space.` : '';
  } catch {
    return '';
  }
}
