import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { processExists } from '@inferql/queue/process-exists';

export interface UploadDir {
  readonly dir: string;
  remove(): void;
}

/**
 * Creates this process' private folder for uploads, and removes those that dead processes left.
 * @returns the folder, and a function that removes it
 * @throws Error that names the setting, if files cannot be written there
 */
export function openUploadDir(stateDir: string): UploadDir {
  try {
    return createUploadDir(stateDir);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new Error(
      `Uploads cannot be written to '${stateDir}' (${reason}). Set INFERQL_STATE_DIR to a folder that this user may write to.`,
      { cause },
    );
  }
}

function createUploadDir(stateDir: string): UploadDir {
  const uploads = join(stateDir, 'uploads');
  makeFolder(uploads, 0o700);
  for (const name of readdirSync(uploads)) {
    const pid = Number(/^(\d+)-/.exec(name)?.[1]);
    // In a container, the process id is the same after every start.
    if (pid === process.pid || !processExists(pid)) rmSync(join(uploads, name), { recursive: true, force: true });
  }
  const dir = mkdtempSync(join(uploads, `${process.pid}-`));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
