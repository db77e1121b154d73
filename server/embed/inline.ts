/** A worker and a Redis next to an embedded server, for a laptop: `createInferQL({ runInline: true })`. */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Logger } from 'pino';

export interface InlineOptions {
  /** A folder with a folder per model, or a list: the option `models` of `startWorker`. @default models in the current folder */
  models?: unknown;
  /** Pulled models and Redis' data. @default .inferql in the current folder */
  stateDir?: string | undefined;
  /** Program of redis-server or valkey-server. @default the first on the PATH */
  redisServer?: string | undefined;
  /** Cores that one run of an engine may use. @default all */
  engineThreads?: number | undefined;
}

interface Stoppable {
  stop(): Promise<void>;
}

type RedisModule = {
  startEmbeddedRedis(options: {
    stateDir: string;
    redisServer: string | undefined;
    warn(text: string): void;
  }): Promise<Stoppable & { url: string }>;
};
type WorkerModule = { startWorker(options: object): Promise<Stoppable> };

/**
 * Starts a private Redis, which keeps its data in `stateDir` and ends with this process.
 * @throws Error that says what to install, or why Redis does not start
 */
export async function startInlineRedis({ stateDir = '.inferql', redisServer }: InlineOptions, log: Logger) {
  const { startEmbeddedRedis } = await importInstalled<RedisModule>('@inferql/launcher/redis/host-application-redis');
  try {
    const warn = (text: string) => log.warn(text);
    return await startEmbeddedRedis({ stateDir: resolve(stateDir), redisServer, warn });
  } catch (cause) {
    const message = `createInferQL: option 'runInline' needs a Redis. ${(cause as Error).message} Or name one in option 'redisUrl'.`;
    throw new Error(message, { cause });
  }
}

/**
 * Starts a worker in this process; its engines have processes.
 * @throws TypeError or Error that names the option
 */
export async function startInlineWorker(
  { models = 'models', stateDir, engineThreads }: InlineOptions,
  shared: { redisUrl: string; prefix: string; log: Logger },
): Promise<Stoppable> {
  const { startWorker } = await importInstalled<WorkerModule>('@inferql/worker');
  const { redisUrl, prefix, log } = shared;
  const given = Object.entries({ models, stateDir, engineThreads }).filter(([, value]) => value !== undefined);
  return startWorker({ ...Object.fromEntries(given), redisUrl, prefix, logger: log });
}

/**
 * A server needs neither worker nor launcher: servers are installed without engines. A package manager that shows a package only what it
 * depends on finds them from the application's folder.
 */
async function importInstalled<T>(entry: string): Promise<T> {
  try {
    return (await import(entry)) as T;
  } catch (error) {
    if (!isMissing(error, entry)) throw error;
  }
  let path: string;
  try {
    path = createRequire(join(process.cwd(), 'package.json')).resolve(entry);
  } catch (cause) {
    const name = entry.split('/').slice(0, 2).join('/');
    const message = `createInferQL: option 'runInline' needs the package ${name}. Install it: npm install ${name}`;
    throw new Error(message, { cause });
  }
  return (await import(pathToFileURL(path).href)) as T;
}

function isMissing(error: unknown, entry: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ERR_MODULE_NOT_FOUND' && message.includes(entry.split('/').slice(0, 2).join('/'));
}
