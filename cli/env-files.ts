import { join, resolve } from 'node:path';
import { readEnvFile } from '@inferql/settings/env-file';
import { CommandFailure, EXIT } from './exit-codes.ts';

/**
 * Adds the settings of `.env` to the environment, which takes precedence, before any default is derived from it. The system of a folder and the
 * commands in it thus agree on Redis, prefix, port and state folder.
 * @param env changed in place
 * @param cloneDir the command's clone, if it is one: its `.env`, its state folder and its models are the defaults in every folder
 * @param dir the current folder
 * @throws CommandFailure if there is a file that cannot be read
 */
export function addEnvFiles(env: NodeJS.ProcessEnv, cloneDir: string | undefined, dir = ''): void {
  addFile(env, join(dir, '.env'));
  if (cloneDir === undefined) return;
  const { INFERQL_STATE_DIR: ownStateDir, INFERQL_MODELS_DIR: ownModelsDir } = env;
  addFile(env, join(cloneDir, '.env'));
  // What the clone's file says is relative to the clone, as for `npm start`.
  env.INFERQL_STATE_DIR = ownStateDir || resolve(cloneDir, env.INFERQL_STATE_DIR || '.inferql');
  env.INFERQL_MODELS_DIR = ownModelsDir || resolve(cloneDir, env.INFERQL_MODELS_DIR || 'models');
}

function addFile(env: NodeJS.ProcessEnv, path: string): void {
  let settings: Record<string, string>;
  try {
    settings = readEnvFile(path);
  } catch (error) {
    throw new CommandFailure(EXIT.usage, (error as Error).message);
  }
  for (const [name, value] of Object.entries(settings)) env[name] ??= value;
}
