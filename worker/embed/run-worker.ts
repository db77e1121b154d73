import { setTimeout as delay } from 'node:timers/promises';
import { createProcessConverter } from '@inferql/converter/conversion-process/convert-in-process';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { checkRedisDatabase } from '@inferql/queue/redis/database';
import { findCure } from '@inferql/queue/redis/outage-cures';
import { reportConnections } from '@inferql/queue/redis/outage-report';
import { parseRedisUrl } from '@inferql/queue/redis/url';
import { checkRedisVersion } from '@inferql/queue/redis/version';
import { createFolderSource, createListSource, type ModelSource } from '../repository/model-source.ts';
import { serveModels } from '../serving/served-models.ts';
import { writeDefinitions } from './defined-models.ts';
import { type ResolvedWorkerOptions, resolveWorkerOptions, type WorkerOptions } from './options.ts';
import type { RunningWorker } from './start-worker.ts';

/** `startWorker` fails if Redis has not answered after this; later outages are waited for. */
const CONNECT_LIMIT_MS = 10_000;
/** After this, what still runs is ended. */
const ABANDON_MS = 2_000;

/** What `startWorker` does. See there. */
export async function runWorker(options: WorkerOptions): Promise<RunningWorker> {
  const resolved = resolveWorkerOptions(options);
  const { redisUrl, drainLimitMs, log } = resolved;
  const redis = connectRedis(redisUrl, 'work');
  reportConnections([redis], redisUrl, log);
  let endWatch = () => {};
  try {
    await untilReady(redis, redisUrl);
    await checkRedisVersion(redis);
    await checkRedisDatabase(redis);
    const source = await createSource(resolved, redis);
    /** By model: those that fail are tried again for as long as the worker runs. */
    const problems = new Map<string, string>();
    const { models: _, stateDir: __, drainLimitMs: ___, ...serving } = resolved;
    const servedModels = serveModels({
      ...serving,
      redis,
      source: {
        ...source,
        load: (name, signal) =>
          source.load(name, signal).catch((error) => {
            problems.set(name, `${name}: ${(error as Error).message}`);
            throw error;
          }),
      },
    });
    // Before the models are read: what changes while they load would be noticed late.
    endWatch = source.watch(servedModels.sync);
    await servedModels.sync();
    if (servedModels.names().length === 0) throw new Error(describeNone(resolved, [...problems.values()]));
    let stopping: Promise<void> | undefined;
    return {
      models: servedModels.names,
      stop() {
        stopping ??= (async () => {
          endWatch();
          const drained = servedModels.drain();
          if (!(await endsWithin(drained, drainLimitMs))) {
            log.error('drain limit reached; other workers reclaim the remaining jobs');
            redis.disconnect();
            const abandoned = Promise.all([servedModels.abandon(), drained]).then(() => undefined);
            await endsWithin(abandoned, ABANDON_MS);
          }
          redis.disconnect();
        })();
        return stopping;
      },
    };
  } catch (error) {
    endWatch();
    redis.disconnect();
    throw error;
  }
}

async function createSource(options: ResolvedWorkerOptions, redis: RedisConnection): Promise<ModelSource> {
  const { models, stateDir, log } = options;
  const convert = createProcessConverter();
  if (typeof models === 'string')
    return createFolderSource({ ...options, modelsDir: models, models: [], redis, convert });
  return createListSource(await writeDefinitions(models, stateDir), { stateDir, convert, log });
}

/** @throws Error that names the option */
async function untilReady(redis: RedisConnection, url: string): Promise<void> {
  if (redis.status === 'ready') return;
  let reason = 'no answer';
  redis.on('error', (error: Error) => {
    reason = error.message;
  });
  const isReady = await endsWithin(new Promise<void>((resolve) => redis.once('ready', resolve)), CONNECT_LIMIT_MS);
  if (isReady) return;
  const cure = findCure(reason);
  const { shown } = parseRedisUrl(url);
  throw new Error(
    `startWorker: Redis at ${shown} (option 'redisUrl') cannot be used: ${reason}.${cure ? ` ${cure}` : ''}`,
  );
}

function describeNone({ models }: ResolvedWorkerOptions, problems: readonly string[]): string {
  if (problems.length > 0) return `startWorker: no model of option 'models' can be served.\n${problems.join('\n')}`;
  return typeof models === 'string'
    ? `startWorker: option 'models' names ${models}. Expected a folder with a folder per model, each with a model.json5 or an engine.js.`
    : `startWorker: no model of option 'models' can be served: the log says why.`;
}

/** @throws the task's error */
async function endsWithin(task: Promise<void>, limitMs: number): Promise<boolean> {
  const limit = new AbortController();
  const late = delay(limitMs, false, { signal: limit.signal }).catch(() => false);
  try {
    return await Promise.race([task.then(() => true), late]);
  } finally {
    limit.abort();
  }
}
