/** A private Redis for a host application: nothing is installed, nothing is printed. */
import { join } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { BUILT_PATH_FILE, findRedisServer } from './find-redis.ts';
import { type RunningRedis, startPrivateRedis } from './private-redis.ts';

export interface EmbeddedRedisOptions {
  /** The data are in `redis/` below it. */
  stateDir: string;
  /** The redis-server or valkey-server to use. @default the first on the PATH, else the one that `inferql serve` built here */
  redisServer: string | undefined;
  /** Gets sentences about servers that are too old, and about a Redis that was restarted. */
  warn(text: string): void;
}

/**
 * Starts a Redis that ends with this process, however that ends.
 * @throws SetupError if there is no Redis server, or if it does not start
 */
export async function startEmbeddedRedis({ stateDir, redisServer, warn }: EmbeddedRedisOptions): Promise<RunningRedis> {
  const notify = (text: string) => warn(text.trim());
  const binary = findRedisServer(redisServer, join(stateDir, BUILT_PATH_FILE), notify);
  if (!binary) {
    throw new Error(
      'There is no Redis server on this machine. Install redis-server or valkey-server (7 or later) on the PATH.',
    );
  }
  makeFolder(stateDir, 0o700);
  return startPrivateRedis(binary, stateDir, { showStep: (_title, work) => work(), printError: notify });
}
