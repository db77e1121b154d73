import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
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
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A folder of this name is a virtual environment of Python.
    if (code === 'ENOENT' || code === 'EISDIR') return;
    throw new CommandFailure(EXIT.usage, `Cannot read the settings: ${message}`);
  }
  for (const [name, value] of Object.entries(parseEnv(text))) env[name] ??= value;
}
