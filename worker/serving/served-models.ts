/** The models that this worker serves, kept in sync with its repository while it runs. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { RedisConnection } from '@inferql/queue/redis/connection';
import type { Logger } from 'pino';
import type { ModelSource } from '../repository/model-source.ts';
import { createCoreScheduler } from './core-scheduler.ts';
import { FailedModels } from './failed-models.ts';
import { type ModelServer, startModelServer } from './model-server.ts';
import type { ServableModel } from './servable-model.ts';

interface ServedModelsOptions {
  /** Names of the models to serve. */
  list(): Promise<string[]>;
  /** Reads one; fast if it did not change. @throws if it cannot be read, or `signal` was aborted */
  load(name: string, signal: AbortSignal): Promise<ServableModel>;
  /** Another text if files of the model have changed. */
  sign(name: string): Promise<string>;
  /**
   * Starts to serve it; resolves once it is warm and registered. `worker` is a name that only this service uses.
   * @throws if it cannot be served, or `signal` was aborted before it was registered
   */
  start(servable: ServableModel, worker: string, signal: AbortSignal): Promise<ModelServer>;
  /** The process' name. */
  worker: string;
  log: Logger;
}

export interface ServedModels {
  /**
   * Syncs with the repository: serves new models, replaces changed ones (the old version finishes what is queued for it) and
   * withdraws removed ones. A model that cannot be served is logged; its previous version and other models are not affected.
   * @param retryAll try models at once that could not be served before and have not changed since
   */
  sync(options?: { retryAll?: boolean }): Promise<void>;
  /** Names of the models served now. */
  names(): string[];
  /** All engines, including those of retiring versions. */
  engines(): ModelServer['engine'][];
  /** Ends all services; nothing is started after that, and a model that is being loaded is given up. */
  drain(): Promise<void>;
  /** Ends all services at once, although they hold jobs. Call it after `drain`, and after the connection to Redis was closed. */
  abandon(): Promise<void>;
}

export interface ServingOptions {
  source: ModelSource;
  redis: RedisConnection;
  redisUrl: string;
  prefix: string;
  engineThreads: number;
  engineTimeLimitMs: number;
  engineLoadLimitMs: number;
  log: Logger;
  /** Called after each batch. */
  onBatch?: () => void;
}

/** Serves the models of a source under a name that no other worker has: what a worker's process and a host application share. */
export function serveModels({ source, log, ...options }: ServingOptions): ServedModels {
  const scheduler = createCoreScheduler();
  return createServedModels({
    worker: `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`,
    log,
    list: source.list,
    load: source.load,
    sign: source.sign,
    start: (servable, worker, signal) => startModelServer({ ...options, servable, scheduler, worker, log, signal }),
  });
}

function createServedModels({ list, load, sign, start, worker, log }: ServedModelsOptions): ServedModels {
  const services = new Map<string, ModelServer>();
  const leaving = new Map<ModelServer, Promise<void>>();
  const failed = new FailedModels();
  let started = 0;
  const closing = new AbortController();
  let syncing: Promise<void> = Promise.resolve();

  /** Logs each reason once. */
  function noteFailure(name: string, signature: string | undefined, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (!failed.note(name, signature, reason)) return;
    log.error({ err: error, model: name, isServed: services.has(name) }, 'cannot serve the model');
  }

  function startLeaving(service: ModelServer, how: 'retire' | 'withdraw'): void {
    const { name, version } = service.model;
    log.info({ model: name, version, how }, 'retiring version');
    const gone = service[how]()
      .catch((error) => log.error({ err: error, model: name, version }, 'could not retire a version cleanly'))
      .finally(() => leaving.delete(service));
    leaving.set(service, gone);
  }

  async function update(name: string, retryAll: boolean): Promise<void> {
    // Before it is read: it may change meanwhile. What is served changes rarely.
    const signature = failed.has(name) || !services.has(name) ? await sign(name) : undefined;
    if (!retryAll && !failed.mayRetry(name, signature)) return;
    try {
      const servable = await load(name, closing.signal);
      const old = services.get(name);
      if (closing.signal.aborted) return;
      if (old?.model.version === servable.version) return failed.remove(name);
      const service = await start(servable, `${worker}.${++started}`, closing.signal);
      services.set(name, service);
      failed.remove(name);
      if (old) startLeaving(old, 'retire');
    } catch (error) {
      if (!closing.signal.aborted) noteFailure(name, signature, error);
    }
  }

  async function syncOnce(retryAll: boolean): Promise<void> {
    const names = await list();
    failed.keep(names);
    for (const [name, service] of services) {
      if (closing.signal.aborted || names.includes(name)) continue;
      services.delete(name);
      startLeaving(service, 'withdraw');
    }
    for (const name of names) if (!closing.signal.aborted) await update(name, retryAll);
  }

  async function drainOne(service: ModelServer): Promise<void> {
    const { name, version } = service.model;
    await service.drain().catch((error) => log.error({ err: error, model: name, version }, 'could not drain cleanly'));
  }

  const all = () => [...services.values(), ...leaving.keys()];

  return {
    sync({ retryAll = false } = {}) {
      syncing = syncing
        .then(() => syncOnce(retryAll))
        .catch((error) => log.error({ err: error }, 'could not read the model repository'));
      return syncing;
    },
    names: () => [...services.keys()],
    engines: () => all().map(({ engine }) => engine),
    async drain() {
      closing.abort();
      // A service that is being registered now is drained as soon as it is.
      await Promise.all(all().map(drainOne));
      await syncing;
      await Promise.all([...services.values()].map(drainOne));
      await Promise.all(leaving.values());
    },
    async abandon() {
      await Promise.all(all().map((service) => service.abandon()));
    },
  };
}
