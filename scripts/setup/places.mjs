// Where things lie.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { projectDir } from './project-dir.mjs';

export { projectDir };

/** What the set-up knows about this folder: stamps, logs, its lock. Git-ignored, safe to delete while nothing runs. */
export const setupDir = join(projectDir, '.inferql');
export const stampsDir = join(setupDir, 'stamps');
export const logsDir = join(setupDir, 'logs');
// On the project's own file system, so that what is finished can be renamed into its place; emptied at every set-up.
export const unfinishedDir = join(setupDir, 'unfinished');

/** The running system's state: installed models, the private Redis' data. */
export const stateDir = resolve(projectDir, process.env.INFERQL_STATE_DIR || '.inferql');
export const modelsDir = resolve(projectDir, process.env.INFERQL_MODELS_DIR || 'models');
export const distDir = join(projectDir, 'dist');
export const benchDir = join(setupDir, 'bench-build');

export function makeStateDirs() {
  for (const dir of [setupDir, stampsDir, logsDir, unfinishedDir, stateDir])
    mkdirSync(dir, { recursive: true, mode: 0o700 });
}
