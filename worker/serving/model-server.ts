/** One model served by this worker: its engine and its loop, from warm-up to drain. */
import { addAbortListener } from 'node:events';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { Consumer } from '@inferql/queue/jobs/consumer';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import type { Logger } from 'pino';
import { EngineLoadError } from '../engines/engine.ts';
import { type SupervisedEngine, startSupervisedEngine } from '../engines/process/supervised-engine.ts';
import type { CoreScheduler } from './core-scheduler.ts';
import { startModelLoop } from './run-loop.ts';
import type { ServableModel } from './servable-model.ts';
import { warmUp } from './warm-up.ts';

export interface ModelServerOptions {
  servable: ServableModel;
  /** Shared by all models of the worker. */
  redis: RedisConnection;
  redisUrl: string;
  prefix: string;
  scheduler: CoreScheduler;
  worker: string;
  engineThreads: number;
  engineTimeLimitMs: number;
  engineLoadLimitMs: number;
  log: Logger;
  /** Called after each batch. */
  onBatch?: () => void;
  /** The engine process' main file, if it is not next to the compiled modules. */
  childPath?: string;
  /** Ends the start: the model is neither loaded nor registered anymore. */
  signal?: AbortSignal;
}

export interface ModelServer {
  model: ServedModel;
  engine: Pick<SupervisedEngine, 'pid' | 'rssBytes'>;
  /** Stops claiming, finishes held jobs, deregisters the worker, and ends the engine. */
  drain(): Promise<void>;
  /** Serves the jobs that are queued for this version, then drains. Call it once another version is registered. */
  retire(): Promise<void>;
  /** Call it if the model was removed from the repository: it is no longer offered, but queued jobs are still served. */
  withdraw(): Promise<void>;
  /** Ends everything at once, although jobs are held: other workers reclaim them. Call it after `drain`, and after `redis` was disconnected. */
  abandon(): Promise<void>;
}

/**
 * Chooses an engine, loads the model, warms it up, and only then registers it and accepts work.
 * @throws EngineLoadError if no engine can run the model; the signal's reason if it was aborted before the model was registered
 */
export async function startModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const { servable, redis, redisUrl, prefix, scheduler, worker } = options;
  const log = options.log.child({ model: servable.name, version: servable.version });
  const { engine, name: engineName, reason } = await chooseEngine(options, log);
  const { labels, headLabels, candidates, ruledOut, heatmap, ...spec } = servable;
  const model: ServedModel = {
    ...spec,
    engine: engineName,
    engineReason: reason,
    heatmap:
      heatmap.available && !engine.hasHeatmaps
        ? { available: false, reason: `The engine ${engineName} does not provide feature maps of this model.` }
        : heatmap,
  };
  const blockingRedis = connectRedis(redisUrl, 'blocking');
  blockingRedis.on('error', (error) => log.debug({ err: error }, 'Redis connection failed'));
  try {
    const consumer = new Consumer({ redis, blockingRedis, prefix, model, labels, headLabels, worker });
    const loop = await startModelLoop({
      consumer,
      engine,
      model,
      labels,
      ...(headLabels && { headLabels }),
      scheduler,
      worker,
      log,
      ...(options.onBatch && { onBatch: options.onBatch }),
      ...(options.signal && { signal: options.signal }),
    });
    log.info({ engine: engineName, reason, enginePid: engine.pid() }, 'serving');
    const close = async () => {
      blockingRedis.disconnect();
      await engine.close();
    };
    const leaveBy = async (ending: Promise<void>) => {
      // Also if the worker could not be deregistered.
      await ending.finally(close);
      log.info('deregistered');
    };
    return {
      model,
      engine,
      drain: () => leaveBy(loop.drain()),
      retire: () => leaveBy(loop.retire()),
      withdraw: () => leaveBy(loop.withdraw()),
      abandon() {
        loop.abandon();
        return close();
      },
    };
  } catch (error) {
    blockingRedis.disconnect();
    await engine.close();
    throw error;
  }
}

/** Starts and warms up the first engine that can run the model; the reason says why earlier candidates could not. */
async function chooseEngine({ servable, scheduler, signal, ...options }: ModelServerOptions, log: Logger) {
  const refusals: string[] = [...(servable.ruledOut ?? [])];
  for (const { engine: name, reason, model } of servable.candidates) {
    let engine: SupervisedEngine | undefined;
    try {
      engine = await startSupervisedEngine(
        {
          model: {
            engine: name,
            input: servable.input,
            classCount: servable.classCount,
            threads: options.engineThreads,
            ...model,
          },
          timeLimitMs: options.engineTimeLimitMs,
          loadLimitMs: options.engineLoadLimitMs,
          log,
          ...(options.childPath === undefined ? {} : { childPath: options.childPath }),
        },
        signal,
      );
      const started = engine;
      const ending = signal && addAbortListener(signal, () => void started.close());
      await warmUp(engine, servable, scheduler).finally(() => ending?.[Symbol.dispose]());
      signal?.throwIfAborted();
      return { engine, name, reason: [reason, ...refusals].join(' ') };
    } catch (error) {
      await engine?.close();
      signal?.throwIfAborted();
      const cause = error instanceof InferqlError && error.cause instanceof Error ? error.cause : (error as Error);
      log.info({ engine: name, reason: cause.message }, 'engine cannot run the model');
      refusals.push(`${name}: ${cause.message.replace(/\.?$/, '.')}`);
    }
  }
  throw new EngineLoadError('unsupported', `no engine can run ${servable.name}: ${refusals.join(' ')}`);
}
