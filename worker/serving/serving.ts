import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { RedisConnection } from '@inferql/queue/redis-connection';
import type { Logger } from 'pino';
import type { ModelSource } from '../repository/model-source.ts';
import { createFairScheduler } from './fair-scheduler.ts';
import { startModelServer } from './model-server.ts';
import { createServedModels, type ServedModels } from './served-models.ts';

export interface ServingOptions {
  source: ModelSource;
  redis: RedisConnection;
  redisUrl: string;
  prefix: string;
  engineThreads: number;
  engineTimeLimitMs: number;
  log: Logger;
  /** Called after each batch. */
  onBatch?: () => void;
}

/** The models of a source, served under a name that no other worker has: the part that a worker's process and a host application share. */
export function createServing({ source, log, ...options }: ServingOptions): ServedModels {
  const scheduler = createFairScheduler();
  return createServedModels({
    worker: `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`,
    log,
    list: source.list,
    load: source.load,
    start: (servable, worker) => startModelServer({ ...options, servable, scheduler, worker, log }),
  });
}
