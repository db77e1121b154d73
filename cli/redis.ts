/** For operators' commands, which use the system's Redis and not its server. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InferqlError } from '@inferql/queue/error-codes';
import type { RedisConnection } from '@inferql/queue/redis/connection';
import { isAccessRefused } from '@inferql/queue/redis/errors';
import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';
import { parseRedisUrl } from '@inferql/queue/redis/url';
import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { CommandFailure, EXIT } from './exit-codes.ts';
import { safeText } from './terminal-text.ts';

export interface RedisFlags {
  redis?: string;
  prefix: string;
}

const CONNECT_MS = 3_000;

/** Adds --redis and --prefix. */
export function addRedisOptions(command: Command): Command {
  // An empty variable counts as not set, which commander's `env` does not know.
  const prefix = process.env.INFERQL_PREFIX || DEFAULT_PREFIX;
  return command
    .option('--redis <url>', "the system's Redis (default: REDIS_URL, else this project's private one)")
    .option('--prefix <text>', 'prefix of the Redis keys (INFERQL_PREFIX)', prefix);
}

/**
 * Runs the work with a connection to the system's Redis, which it closes.
 * @throws CommandFailure if none is known, none answers, or Redis refuses the login or the work
 */
export async function withRedis(
  flags: RedisFlags,
  { env, signal }: Pick<CommandContext, 'env' | 'signal'>,
  work: (redis: RedisConnection) => Promise<void>,
): Promise<void> {
  const url = flags.redis ?? (await findRedis(env));
  const redis = await openRedis(url, flags.redis === undefined ? 'REDIS_URL' : '--redis');
  try {
    await waitForConnection(redis, signal);
    await work(redis);
  } catch (error) {
    throw explainRedisError(error, parseRedisUrl(url).shown);
  } finally {
    redis.disconnect();
  }
}

function explainRedisError(error: unknown, shown: string): unknown {
  if (error instanceof CommandFailure) return error;
  const reply = findReply(error);
  if (reply && isAccessRefused(reply)) {
    return new CommandFailure(
      EXIT.usage,
      `Redis at ${shown} refused access: ${safeText(reply.message)}\n\nPass the URL of a user for operators (docs/security.md) with --redis or REDIS_URL.`,
    );
  }
  if (reply) return new CommandFailure(EXIT.unreachable, `Redis at ${shown} refused: ${safeText(reply.message)}`);
  if (!(error instanceof InferqlError)) return error;
  if (error.code !== 'UNAVAILABLE') return new CommandFailure(EXIT.failed, safeText(error.message));
  const { message = '', code = '' } = (error.cause ?? {}) as { message?: string; code?: string };
  const reason = safeText(message || code);
  return new CommandFailure(EXIT.unreachable, `Redis does not respond at ${shown}${reason && `: ${reason}`}.`);
}

/** What Redis answered, if an error is or contains an error reply: a code in capitals, and a text. */
function findReply(error: unknown): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  if (/^-?[A-Z]{2,} /.test(error.message)) return error;
  return findReply((error as { lastNodeError?: unknown }).lastNodeError ?? error.cause);
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

/** Most commands ask the server, so only those that need Redis load its client. @param source names the URL in errors */
async function openRedis(url: string, source: string): Promise<RedisConnection> {
  const { connectRedis } = await import('@inferql/queue/redis/connection');
  try {
    return connectRedis(url, 'request');
  } catch (error) {
    throw new CommandFailure(EXIT.usage, (error as Error).message.replace('REDIS_URL', source));
  }
}

/**
 * Connections of the role 'request' fail at once while they are not ready, so wait until this one is.
 * @throws InferqlError UNAVAILABLE with the last failure, at once if Redis refuses the connection; the signal's reason
 */
async function waitForConnection(redis: RedisConnection, signal: AbortSignal): Promise<void> {
  let failure: Error | undefined;
  let end = () => {};
  redis.on('error', (error: Error & { lastNodeError?: Error }) => {
    failure = error.lastNodeError ?? error;
    if (findReply(failure)) end();
  });
  signal.throwIfAborted();
  if (redis.status !== 'ready') {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CONNECT_MS);
      end = () => {
        clearTimeout(timer);
        resolve();
      };
      redis.once('ready', end);
      signal.addEventListener('abort', end, { once: true });
    });
  }
  signal.throwIfAborted();
  // Connected to another database than the one in the URL, if that one was refused.
  if (redis.status !== 'ready' || findReply(failure)) throw new InferqlError('UNAVAILABLE', { cause: failure });
}
