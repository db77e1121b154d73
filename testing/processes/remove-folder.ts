import { rm } from 'node:fs/promises';

/** Removes a folder. A process that was killed, or a child of it, may still write there for a moment: this tries again. */
export function removeFolder(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}
