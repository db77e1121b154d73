import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A copy of the project as a newcomer's clone has it, uncommitted changes included. */
export interface Clone {
  readonly dir: string;
  remove(): void;
}

const BUILT = ['dist', 'client/generated', 'e2e/generated', '.inferql/stamps'];

/**
 * Copies what git tracks or would add, and nothing that was built. The packages are a link to this project's.
 * @param models whether the installed models are linked, or have to be pulled
 * @param built whether what this project has built is copied, too. Of other sources, it is built again
 */
export function cloneProject({ models, built }: { models: boolean; built: boolean }): Clone {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'inferql-clone-')));
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    encoding: 'utf8',
  });
  for (const path of new Set(files.split('\0').filter(Boolean))) {
    // Models that a person has added to this clone are not copied.
    if (/^models\/(?!resnet50\/|samples\/|[^/]+$)/.test(path)) continue;
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    try {
      cpSync(path, join(dir, path), { force: true, errorOnExist: false, filter: () => true });
    } catch (error) {
      // A file that is deleted but not committed is still listed, and another test may have removed one meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  symlinkSync(realpathSync('node_modules'), join(dir, 'node_modules'));
  if (models) {
    mkdirSync(join(dir, '.inferql'));
    symlinkSync(realpathSync('.inferql/models'), join(dir, '.inferql/models'));
  }
  for (const path of built ? BUILT : []) {
    if (existsSync(path)) cpSync(path, join(dir, path), { recursive: true, verbatimSymlinks: true });
  }
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }) };
}
