/** A clone of the project: its folders. */
import { join, resolve } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { readEnvFile } from '@inferql/settings/env-file';
import { SetupError } from './terminal.ts';

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
  for (const [name, value] of Object.entries(readSettingsFile(join(dir, '.env')))) process.env[name] ??= value;
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

function readSettingsFile(path: string): Record<string, string> {
  try {
    return readEnvFile(path);
  } catch (error) {
    throw new SetupError((error as Error).message);
  }
}

/** Creates the folders that hold state, readable by this user only. */
export function createStateDirs({ setupDir, stampsDir, logsDir, unfinishedDir, stateDir }: Project): void {
  for (const dir of [setupDir, stampsDir, logsDir, unfinishedDir, stateDir]) {
    makeFolder(dir, 0o700);
  }
}
