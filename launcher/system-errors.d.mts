/** The message of an error of the system, and what to do about it, if that is known. */
export function describeSystemError(error: NodeJS.ErrnoException): string;
/** A sentence if the disk of a folder is full, else an empty text. */
export function describeFullDisk(dir: string): string;
