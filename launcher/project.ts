/** A clone of the project: its folders. */
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface Project {
  readonly dir: string;
  /** Stamps, logs and locks of the setup. Ignored by git, safe to delete while nothing runs. */
  readonly setupDir: string;
  readonly stampsDir: string;
  readonly logsDir: string;
  /** On the project's file system, so that finished work can be renamed into place. Emptied at every setup. */
  readonly unfinishedDir: string;
  /** The running system's state: prepared models, the private Redis' data. */
  readonly stateDir: string;
  readonly modelsDir: string;
  readonly distDir: string;
  /** The benchmarks' build: it is not shipped, so it is not in dist/. */
  readonly benchDir: string;
}

/** Reads `.env`, which the environment overrides, and finds the project's folders. Creates nothing. */
export function openProject(dir: string): Project {
  const envPath = join(dir, '.env');
  if (existsSync(envPath)) process.loadEnvFile(envPath);
  const setupDir = join(dir, '.inferql');
  return {
    dir,
    setupDir,
    stampsDir: join(setupDir, 'stamps'),
    logsDir: join(setupDir, 'logs'),
    unfinishedDir: join(setupDir, 'unfinished'),
    stateDir: resolve(dir, process.env.INFERQL_STATE_DIR || '.inferql'),
    modelsDir: resolve(dir, process.env.INFERQL_MODELS_DIR || 'models'),
    distDir: join(dir, 'dist'),
    benchDir: join(setupDir, 'bench-build'),
  };
}

/** Creates the folders that hold state, readable by this user only. */
export function createStateDirs({ setupDir, stampsDir, logsDir, unfinishedDir, stateDir }: Project): void {
  for (const dir of [setupDir, stampsDir, logsDir, unfinishedDir, stateDir]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }
}
