// What a person can do about errors of the system. Plain JavaScript, like lock.mjs: scripts/bootstrap.mjs needs it before anything is installed.
import { statfsSync } from 'node:fs';

const ADVICE = {
  ENOSPC: 'The disk is full. Free some space, then run the command again.',
  EDQUOT: "This user's disk quota is used up. Free some space, then run the command again.",
  EROFS: 'The file system is read-only.',
  EACCES: 'This user has no right to do that. The file may belong to another user, for example after sudo.',
  EPERM: 'This user has no right to do that. The file may belong to another user, for example after sudo.',
};
/** With less, a program that fails may not even be able to write why. */
const NEARLY_FULL_BYTES = 1024 * 1024;

/**
 * The message of an error of the system, and what to do about it, if that is known.
 * @param {NodeJS.ErrnoException} error
 */
export function describeSystemError(error) {
  const advice = ADVICE[error.code];
  return advice ? `${error.message}\n${advice}` : error.message;
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
