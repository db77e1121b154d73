/** Finds a Redis server program. If there is none, install-redis.ts gets one. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OLDEST_REDIS } from '@inferql/queue/redis/version';
import type { ToolFolders } from '../run-tool.ts';
import { findOnPath } from '../system-packages.ts';
import { print, SetupError } from '../terminal.ts';
import { buildFromSource, installFromSystem } from './install-redis.ts';

const NAMES = ['redis-server', 'valkey-server'];
/** In the state folder. */
export const BUILT_PATH_FILE = join('redis-binary', 'redis-server.path');

export interface RedisBinaryOptions {
  /** INFERQL_REDIS_SERVER: the program to use. */
  redisServer: string | undefined;
  /** INFERQL_INSTALL: whether the system's package manager may install one. */
  install: boolean;
}

/**
 * The path of a redis-server or valkey-server that is new enough, if there is one.
 * @param builtPathFile the file with the path of one that was built from source: `BUILT_PATH_FILE` in the state folder
 * @param warn gets a sentence per server that is too old. @default print
 * @throws SetupError if the named program does not exist
 */
export function findRedisServer(
  chosen: string | undefined,
  builtPathFile?: string,
  warn: (text: string) => void = print,
): string | undefined {
  if (chosen) {
    if (existsSync(chosen)) return chosen;
    throw new SetupError(`INFERQL_REDIS_SERVER names ${chosen}, which does not exist.`);
  }
  for (const name of NAMES) {
    const found = findOnPath(name);
    if (found && isRecent(found, warn)) return found;
  }
  if (builtPathFile && existsSync(builtPathFile)) {
    const built = readFileSync(builtPathFile, 'utf8');
    if (existsSync(built)) return built;
  }
  return undefined;
}

function isRecent(binary: string, warn: (text: string) => void): boolean {
  const version = /v=(\d+)\.[\d.]+/.exec(spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout ?? '');
  if (version && Number(version[1]) >= OLDEST_REDIS) return true;
  const found = version ? `is version ${version[0].slice(2)}` : 'does not report its version';
  warn(`  ${binary} ${found}; ${OLDEST_REDIS} or later is needed.`);
  return false;
}

/**
 * The path of a redis-server or valkey-server; installs one with the system's package manager, or builds one, if there is none.
 * @throws SetupError that names the ways to get one
 */
export async function provideRedisServer(
  project: ToolFolders,
  { redisServer, install }: RedisBinaryOptions,
): Promise<string> {
  const builtPathFile = join(project.setupDir, BUILT_PATH_FILE);
  const find = () => findRedisServer(redisServer, builtPathFile);
  const found = find();
  if (found) return found;
  const failures: string[] = [];
  const ways = [() => installFromSystem(project, install), () => buildFromSource(project, builtPathFile)];
  for (const way of ways) {
    try {
      await way();
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      failures.push(error.message.split('\n')[0]!);
    }
    const provided = find();
    if (provided) return provided;
  }
  throw new SetupError(
    [
      'InferQL needs a Redis (or Valkey) server, and none was found. Do one of these:',
      '  - install redis-server or valkey-server on the PATH (or set INFERQL_REDIS_SERVER to its path);',
      '  - run one elsewhere and set REDIS_URL=redis://host:6379;',
      '  - install a C compiler and make, so that InferQL can build one (redis-memory-server).',
      ...failures.map((failure) => `Tried, and failed: ${failure}`),
    ].join('\n'),
  );
}
