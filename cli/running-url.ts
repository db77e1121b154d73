import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { processExists } from '@inferql/queue/process-exists';

/**
 * The address of the system that runs from a folder, whatever its port. The launcher records it there (launcher/supervise/running-system.ts); a killed
 * launcher leaves its record.
 * @param stateDir the system's state folder, usually `.inferql`
 * @returns undefined if none runs, or several do and it cannot be known which one is wanted
 */
export function findRunningUrl(stateDir: string): string | undefined {
  const urls = listRunningUrls(stateDir);
  return urls.length === 1 ? urls[0] : undefined;
}

/** The addresses of all systems that run from a folder. */
export function listRunningUrls(stateDir: string): string[] {
  return readRecords(stateDir)
    .filter(({ pid }) => processExists(pid))
    .map(({ url }) => url);
}

function readRecords(stateDir: string): { pid: number; url: string }[] {
  try {
    return readdirSync(stateDir)
      .filter((name) => /^running-\d+\.json$/.test(name))
      .map((name) => JSON.parse(readFileSync(join(stateDir, name), 'utf8')));
  } catch {
    // No such folder, or a system that starts or ends just now.
    return [];
  }
}
