/** For operators' commands, which use the system's Redis and not its server. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InferqlError } from '@inferql/queue/error-codes';
import type { RedisConnection } from '@inferql/queue/redis/connection';
import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';
import { type Command, Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import { CommandFailure, EXIT } from './exit-codes.ts';
import { hidePassword, safeText } from './terminal-text.ts';

export interface RedisFlags {
  redis?: string;
  prefix: string;
}

const CONNECT_MS = 3_000;

/** Adds --redis and --prefix. */
export function addRedisOptions(command: Command): Command {
  return command
    .option('--redis <url>', "the system's Redis (default: REDIS_URL, else this project's private one)")
    .addOption(new Option('--prefix <text>', 'prefix of the Redis keys').env('INFERQL_PREFIX').default(DEFAULT_PREFIX));
}

/**
 * Runs the work with a connection to the system's Redis, which it closes.
 * @throws CommandFailure if none is known or none answers
 */
export async function withRedis(
  flags: RedisFlags,
  { env }: CommandContext,
  work: (redis: RedisConnection) => Promise<void>,
): Promise<void> {
  const url = flags.redis ?? (await findRedis(env));
  const redis = await openRedis(url);
  try {
    await waitForConnection(redis);
    await work(redis);
  } catch (error) {
    if (!(error instanceof InferqlError)) throw error;
    if (error.code === 'UNAVAILABLE')
      throw new CommandFailure(EXIT.unreachable, `Redis does not respond at ${hidePassword(url)}.`);
    throw new CommandFailure(EXIT.failed, safeText(error.message));
  } finally {
    redis.disconnect();
  }
}

async function findRedis(env: NodeJS.ProcessEnv): Promise<string> {
  if (env.REDIS_URL) return env.REDIS_URL;
  const port = await readFile(join(env.INFERQL_STATE_DIR || '.inferql', 'redis', 'port'), 'utf8').catch(() => '');
  if (/^\d+$/.test(port.trim())) return `redis://127.0.0.1:${port.trim()}`;
  throw new CommandFailure(
    EXIT.unreachable,
    'No Redis found. Start the system in this folder with `inferql serve` (or `npm start`), or pass a URL with --redis or REDIS_URL.',
  );
}

/** Most commands ask the server, so only those that need Redis load its client. */
async function openRedis(url: string): Promise<RedisConnection> {
  const { connectRedis } = await import('@inferql/queue/redis/connection');
  try {
    return connectRedis(url, 'request');
  } catch (error) {
    throw new CommandFailure(EXIT.usage, (error as Error).message);
  }
}

/** Connections of the role 'request' fail at once while they are not ready, so wait until this one is. */
async function waitForConnection(redis: RedisConnection): Promise<void> {
  redis.on('error', () => {});
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, CONNECT_MS);
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
