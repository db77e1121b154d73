/** Wires queue, predictions, access and image decoding together, without HTTP. */
import { createImageDecoder } from '@inferql/images/decode/image-decoder';
import { createKeyStore } from '@inferql/queue/api-keys';
import { newPredictionId } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import { createEventChannel } from '@inferql/queue/events';
import { createLimiter } from '@inferql/queue/limits';
import { Producer } from '@inferql/queue/producer';
import type { RedisConnection } from '@inferql/queue/redis-connection';
import { callRedis } from '@inferql/queue/redis-errors';
import { createRefunds, REFUND_BATCH_SIZE } from '@inferql/queue/refunds';
import { Registry } from '@inferql/queue/registry';
import { EXPIRE_BATCH_SIZE } from '@inferql/queue/scripts';
import { createTenantStore } from '@inferql/queue/tenant-store';
import { createUnreadableRecords } from '@inferql/queue/unreadable';
import type { Logger } from 'pino';
import type { CustomAuthenticate } from './access/custom.ts';
import { createAccess } from './access/index.ts';
import { mayUseModel, type Principal } from './access/principal.ts';
import type { Config } from './config.ts';
import { Admission } from './predictions/admission.ts';
import { createAdmissionControl } from './predictions/admission-control.ts';
import { createClassNames } from './predictions/class-names.ts';
import { createSettledNotifier, type Hooks } from './predictions/hooks.ts';
import { createModelCache } from './predictions/model-cache.ts';
import { createPredictionTracker } from './predictions/prediction-tracker.ts';
import { Predictions } from './predictions/predictions.ts';
import { type Audience, createQueueStats } from './predictions/queue-stats.ts';
import { createThroughputMeter } from './predictions/throughput-meter.ts';
import type { Services } from './schema/context.ts';
import { ImageFetcher } from './sources/image-fetcher.ts';
import { openImageSource } from './sources/image-source.ts';
import { createFileStores } from './uploads/file-store.ts';

const MAX_INT = 2 ** 31 - 1;
/** Maximum delay with which a prediction that nobody watches expires. */
const SWEEP_EVERY_MS = 1_000;
/** For a prediction that does not exist. */
const READINESS_ID = newPredictionId('ready');
const FORGET_EVERY_MS = 600_000;

export type Backend = ReturnType<typeof createBackend>;

/**
 * Everything behind the API: what resolvers need, readiness, and shutdown.
 * @param redis a connection of the role 'request'
 * @param subscriber a second one, of the role 'subscriber'
 */
export function createBackend(options: {
  config: Config;
  /** Folder for uploads that are not kept in memory. Other processes do not read or remove files in it. */
  uploadDir: string;
  redis: RedisConnection;
  subscriber: RedisConnection;
  log: Logger;
  /** Hooks of a host application. */
  authenticate?: CustomAuthenticate | undefined;
  hooks?: Hooks | undefined;
}) {
  const { config, uploadDir, redis, subscriber, log, authenticate, hooks = {} } = options;
  let draining = false;
  const unreadable = createUnreadableRecords((place, error) =>
    log.error({ err: error, place }, 'unreadable record in Redis (another release?); skipped'),
  );
  const producer = new Producer(redis, { prefix: config.prefix, reportUnreadable: unreadable.report });
  const registry = new Registry(redis, { prefix: config.prefix, reportUnreadable: unreadable.report });
  const modelCache = createModelCache({ registry, defaultModel: config.defaultModel });
  const limiter = createLimiter(redis, { prefix: config.prefix });
  const refunds = createRefunds(redis, { prefix: config.prefix, limiter });
  const access = createAccess({
    config,
    store: createKeyStore(redis, { prefix: config.prefix }),
    tenantStore: createTenantStore(redis, { prefix: config.prefix }),
    limiter,
    refunds,
    async findImageMs(model) {
      const measured = (await modelCache.readQueue(model))?.workers.flatMap(({ imageMs }) => imageMs ?? []) ?? [];
      return measured.length > 0 ? measured.reduce((sum, ms) => sum + ms) / measured.length : undefined;
    },
    log,
    custom: authenticate,
  });
  const throughput = createThroughputMeter();
  const settled = createSettledNotifier(hooks, (error) => log.error({ err: error }, 'hook onSettled failed'));
  const tracker = createPredictionTracker({
    producer,
    openChannel: (listener) =>
      createEventChannel(
        { subscriber, redis, prefix: config.prefix },
        { ...listener, onKeyChanged: access.onKeyChanged },
      ),
    probe: () => callRedis(() => redis.ping()),
    onModelsChanged: () => void hearModels(),
    reportUnreadable: unreadable.report,
    onEvent(model, parse) {
      throughput.onEvent(model, parse);
      if (settled.isInterested()) settled.onState(parse());
    },
    positionIntervalMs: config.positionIntervalMs,
    auditIntervalMs: config.auditIntervalMs,
    log,
  });
  const decoder = createImageDecoder({
    maxPixels: config.maxPixels,
    concurrency: config.decodeConcurrency,
    memoryBytes: config.decodeMemoryBytes,
    processes: config.decodeProcesses,
  });
  const files = createFileStores(config.uploadMemoryBytes, uploadDir);
  const fetcher = new ImageFetcher({ ...config, openFile: files.open });
  const control = createAdmissionControl(modelCache);
  const { limits } = access;
  const predictions = new Predictions({
    config,
    producer,
    tracker,
    modelCache,
    admission: new Admission({ config, producer, modelCache, control, limits, decoder }),
    limits,
    refunds,
    hooks,
    settled,
    isDraining: () => draining,
  });
  const classNames = createClassNames(registry);
  const queueStats = createQueueStats({ modelCache, throughput });

  /** Subscribes to registered models before the first request for them. */
  async function hearModels(): Promise<void> {
    modelCache.forget();
    try {
      for (const { name } of await modelCache.listModels()) await tracker.subscribe(name);
    } catch (error) {
      log.debug({ err: error }, 'could not list models yet');
    }
  }

  /** Predictions that nobody follows expire on time, too, even if no worker is left to sweep. */
  async function sweepDeadlines(): Promise<void> {
    try {
      for (const name of await registry.modelNames()) await sweepModel(name);
    } catch (error) {
      log.debug({ err: error }, 'deadline sweep failed; retrying');
    }
  }

  /** A wrong value under one model's keys does not affect the others. */
  async function sweepModel(name: string): Promise<void> {
    try {
      while ((await producer.expireDue(name)) === EXPIRE_BATCH_SIZE);
      while ((await refunds.settle(name)) === REFUND_BATCH_SIZE);
    } catch (error) {
      if (error instanceof InferqlError) throw error;
      unreadable.report(`deadlines of model ${name}`, error);
    }
  }
  const sweepTimer = setInterval(() => void sweepDeadlines(), SWEEP_EVERY_MS);
  sweepTimer.unref();

  /** Removes what is left of models that were removed for good. */
  async function forgetIdleModels(): Promise<void> {
    try {
      for (const model of await registry.forgetIdle()) log.info({ model }, 'idle model forgotten');
    } catch (error) {
      log.debug({ err: error }, 'could not forget idle models; retrying');
    }
  }
  const forgetTimer = setInterval(() => void forgetIdleModels(), FORGET_EVERY_MS);
  forgetTimer.unref();

  const services: Services = {
    limits: config,
    submit: (request) => predictions.submit(request),
    openSource: (source, { tenant }, signal) =>
      openImageSource(source, { tenant, signal }, { fetcher, maxBytes: config.maxUploadBytes }),
    readPrediction: (caller, id) => predictions.read(caller, id),
    cancelPrediction: (caller, id) => predictions.cancel(caller, id),
    createToken: access.createToken,
    readLimits: access.limits.read,
    async watchPrediction(caller, id, wantsPositions) {
      return access.subscribe(caller, () => predictions.watch(caller, id, wantsPositions));
    },
    async findPosition({ id }) {
      return (await producer.read(id))?.position;
    },
    async estimateStartMs(model, position) {
      const rate = (await modelCache.readQueue(model))?.ratePerSecond;
      return rate ? Math.min(MAX_INT, Math.round((position / rate) * 1000)) : undefined;
    },
    // A caller may know about a model before this server does.
    listModels: async (caller) => (await modelCache.listModels(0)).filter(({ name }) => mayUseModel(caller, name)),
    findModel: (caller, name) => modelCache.findModel(name, (model) => mayUseModel(caller, model)),
    readClassNames: classNames.ofModel,
    readHeadLabels: classNames.ofHeads,
    viewQueue: (caller, name) => queueStats.view(name, audienceOf(caller)),
    async watchQueue(caller, name) {
      return access.subscribe(caller, () => queueStats.watch(name, audienceOf(caller)));
    },
  };

  return {
    services,
    access,
    files,

    /** Whether Redis answers and its channel is subscribed; false once the server shuts down. */
    async isReady(): Promise<boolean> {
      if (draining || !tracker.ready()) return false;
      // A step of the queue, not a ping: a Redis user without the rights for it cannot accept work.
      return producer.read(READINESS_ID).then(
        () => true,
        () => false,
      );
    },

    isDraining: () => draining,

    /** Records in Redis that this release cannot read: models, workers, predictions. For operators. */
    unreadable: unreadable.list,

    /** Ends subscriptions with a retryable error; waiting mutations have `config.drainMs` left. */
    drain(): void {
      if (draining) return;
      draining = true;
      tracker.drain();
      queueStats.drain();
    },

    close(): void {
      clearInterval(sweepTimer);
      access.close();
      clearInterval(forgetTimer);
      tracker.close();
      decoder.close();
      void fetcher.close();
    },
  };
}

function audienceOf(caller: Principal): Audience {
  const { tenant, scopes } = caller;
  return { tenant, isOperator: scopes.has('operate'), mayUse: (model) => mayUseModel(caller, model) };
}
