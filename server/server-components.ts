/** Creates what is behind the API (queue, predictions, access, image decoding) and connects it, without HTTP. */
import { ImageDecoder } from '@inferql/images/decode/image-decoder';
import { KeyStore } from '@inferql/queue/access/api-keys';
import { createLimiter } from '@inferql/queue/access/rate-limiter';
import { Refunds } from '@inferql/queue/access/refunds';
import { createTenantStore } from '@inferql/queue/access/tenant-store';
import { newPredictionId, type PredictionState } from '@inferql/queue/contract';
import { meanImageMs } from '@inferql/queue/models/queue-state';
import { Registry } from '@inferql/queue/models/registry';
import { EventChannel } from '@inferql/queue/predictions/event-channel';
import { Producer } from '@inferql/queue/predictions/producer';
import type { RedisConnection } from '@inferql/queue/redis/connection';
import { callRedis } from '@inferql/queue/redis/errors';
import { createUnreadableRecords, type UnreadableRecords } from '@inferql/queue/redis/unreadable-records';
import type { Logger } from 'pino';
import { Access } from './access/access.ts';
import type { CustomAuthenticate } from './access/custom-authentication.ts';
import type { Config } from './config.ts';
import type { Metrics, MetricsOptions } from './metrics/metrics-registry.ts';
import { Admission } from './predictions/admission.ts';
import { createClassNames } from './predictions/class-names.ts';
import { createSettledNotifier, type Hooks, type SettledNotifier } from './predictions/host-hooks.ts';
import { createLoadShedder } from './predictions/load-shedder.ts';
import { ModelCache } from './predictions/model-cache.ts';
import { PredictionTracker } from './predictions/prediction-tracker.ts';
import { Predictions } from './predictions/predictions.ts';
import { QueueStatsReader } from './predictions/queue-stats.ts';
import { QueueSweeper } from './predictions/queue-sweeper.ts';
import type { SubmitRequest } from './predictions/submit-request.ts';
import { createThroughputMeter, type ThroughputMeter } from './predictions/throughput-meter.ts';
import { Services } from './resolver-services.ts';
import { ImageFetcher } from './sources/image-fetcher.ts';
import { createFileStores, type FileStores } from './uploads/memory-or-disk-store.ts';

/** For a prediction that does not exist. */
const READINESS_ID = newPredictionId('ready');

export interface ServerComponentsOptions {
  config: Config;
  /** Folder for uploads that are not kept in memory. Other processes do not read or remove files in it. */
  uploadDir: string;
  /** A connection of the role 'request'. */
  redis: RedisConnection;
  /** A second one, of the role 'subscriber'. */
  subscriber: RedisConnection;
  log: Logger;
  /** Hooks of a host application. */
  authenticate?: CustomAuthenticate | undefined;
  hooks?: Hooks | undefined;
  /** From `loadMetrics`. @default no metrics */
  createMetrics?: ((options: MetricsOptions) => Metrics) | undefined;
}

interface TrackerParts {
  producer: Producer;
  access: Access;
  throughput: ThroughputMeter;
  settled: SettledNotifier;
}

interface PredictionsParts extends Omit<TrackerParts, 'throughput'> {
  tracker: PredictionTracker;
  modelCache: ModelCache;
  decoder: ImageDecoder;
  refunds: Refunds;
  metrics: Metrics | undefined;
}

/** Everything behind the API: what resolvers need, readiness, and shutdown. */
export class ServerComponents {
  readonly services: Services;
  readonly access: Access;
  readonly files: FileStores;
  /** Undefined without `createMetrics`. */
  readonly metrics: Metrics | undefined;
  readonly #log: Logger;
  readonly #unreadable: UnreadableRecords;
  readonly #producer: Producer;
  readonly #modelCache: ModelCache;
  readonly #tracker: PredictionTracker;
  readonly #decoder: ImageDecoder;
  readonly #fetcher: ImageFetcher;
  readonly #queueStats: QueueStatsReader;
  readonly #sweeper: QueueSweeper;
  #draining = false;

  constructor(options: ServerComponentsOptions) {
    const { config, uploadDir, redis, log, authenticate, hooks = {}, createMetrics } = options;
    const { prefix } = config;
    this.#log = log;
    this.#unreadable = createUnreadableRecords((place, error) =>
      log.error({ err: error, place }, 'unreadable record in Redis (another release?); skipped'),
    );
    const reportUnreadable = this.#unreadable.report;
    const producer = new Producer(redis, { prefix, reportUnreadable });
    const registry = new Registry(redis, { prefix, reportUnreadable });
    const modelCache = new ModelCache({ registry, defaultModel: config.defaultModel });
    const limiter = createLimiter(redis, { prefix });
    const refunds = new Refunds(redis, { prefix, limiter });
    const access = new Access({
      config,
      store: new KeyStore(redis, { prefix }),
      tenantStore: createTenantStore(redis, { prefix }),
      limiter,
      refunds,
      findImageMs: (model) => findImageMs(modelCache, model),
      log,
      custom: authenticate,
    });
    const throughput = createThroughputMeter();
    const metrics = createMetrics?.({
      modelCache,
      targetWaitMs: config.targetWaitMs,
      countSubscriptions: () => access.limits.countHeld('subscriptions'),
    });
    const settled = createSettledListeners(metrics, hooks, log);
    const tracker = this.#createTracker(options, { producer, access, throughput, settled });
    const decoder = new ImageDecoder({
      maxPixels: config.maxPixels,
      concurrency: config.decodeConcurrency,
      memoryBytes: config.decodeMemoryBytes,
      processes: config.decodeProcesses,
    });
    const files = createFileStores(config.uploadMemoryBytes, uploadDir);
    const fetcher = new ImageFetcher({ ...config, openFile: files.open });
    const predictions = this.#createPredictions(options, {
      producer,
      tracker,
      modelCache,
      access,
      decoder,
      refunds,
      settled,
      metrics,
    });
    const classNames = createClassNames(registry);
    const queueStats = new QueueStatsReader({ modelCache, throughput });
    this.access = access;
    this.files = files;
    this.metrics = metrics;
    this.services = new Services({
      config,
      access,
      producer,
      predictions,
      fetcher,
      modelCache,
      classNames,
      queueStats,
    });
    this.#producer = producer;
    this.#modelCache = modelCache;
    this.#tracker = tracker;
    this.#decoder = decoder;
    this.#fetcher = fetcher;
    this.#queueStats = queueStats;
    this.#sweeper = new QueueSweeper({ producer, registry, refunds, reportUnreadable, log });
  }

  #createTracker(
    { config, redis, subscriber, log }: ServerComponentsOptions,
    { producer, access, throughput, settled }: TrackerParts,
  ): PredictionTracker {
    const { prefix, positionIntervalMs, auditIntervalMs } = config;
    return new PredictionTracker({
      producer,
      openChannel: (listener) =>
        new EventChannel({ subscriber, redis, prefix }, { ...listener, onKeyChanged: (id) => access.onKeyChanged(id) }),
      probe: () => callRedis(() => redis.ping()),
      onModelsChanged: () => void this.#subscribeToModels(),
      reportUnreadable: this.#unreadable.report,
      onEvent(model, parse) {
        throughput.onEvent(model, parse);
        if (settled.isInterested()) settled.onState(parse());
      },
      positionIntervalMs,
      auditIntervalMs,
      log,
    });
  }

  #createPredictions(
    { config, hooks = {} }: ServerComponentsOptions,
    { producer, tracker, modelCache, access, decoder, refunds, settled, metrics }: PredictionsParts,
  ): Predictions {
    const { limits } = access;
    const admission = new Admission({
      config,
      producer,
      modelCache,
      loadShedder: createLoadShedder(modelCache),
      limits,
      decoder: metrics?.predictions.measure(decoder) ?? decoder,
    });
    return new Predictions({
      config,
      producer,
      tracker,
      modelCache,
      admission,
      limits,
      refunds,
      hooks,
      settled,
      ...(metrics && {
        onRefused: ({ model }: SubmitRequest, error: unknown) =>
          void findModelName(modelCache, model).then((name) => metrics.predictions.onRefused(name, error)),
      }),
      isDraining: () => this.#draining,
    });
  }

  /** Whether Redis answers and its channel is subscribed; false once the server shuts down. */
  async isReady(): Promise<boolean> {
    if (this.#draining || !this.#tracker.ready()) return false;
    // A step of the queue, not a ping: a Redis user without the rights for it cannot accept work.
    return this.#producer.read(READINESS_ID).then(
      () => true,
      () => false,
    );
  }

  isDraining(): boolean {
    return this.#draining;
  }

  /** Records in Redis that this release cannot read: models, workers, predictions. For operators. */
  unreadable(): ReturnType<UnreadableRecords['list']> {
    return this.#unreadable.list();
  }

  /** Ends subscriptions with a retryable error; waiting mutations have `config.drainMs` left. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#tracker.drain();
    this.#queueStats.drain();
  }

  close(): void {
    this.metrics?.close();
    this.#sweeper.close();
    this.access.close();
    this.#tracker.close();
    this.#decoder.close();
    void this.#fetcher.close();
  }

  /** Before the first request for a model. */
  async #subscribeToModels(): Promise<void> {
    this.#modelCache.forget();
    try {
      for (const { name } of await this.#modelCache.listModels()) await this.#tracker.subscribe(name);
    } catch (error) {
      this.#log.debug({ err: error }, 'could not list models yet');
    }
  }
}

/** Passes terminal states on to the metrics and to the host's hook. */
function createSettledListeners(metrics: Metrics | undefined, hooks: Hooks, log: Logger) {
  const onSettled = hooks.onSettled && ((state: PredictionState) => hooks.onSettled?.(state));
  const listeners = [metrics?.predictions.onSettled, onSettled].filter((listener) => listener !== undefined);
  return createSettledNotifier(listeners, (error) => log.error({ err: error }, 'hook onSettled failed'));
}

/** The name of a model that is served, or of the default one; undefined if there is none. Does not read Redis for a name that is unknown. */
async function findModelName(modelCache: ModelCache, name: string | undefined): Promise<string | undefined> {
  try {
    if (name === undefined) return (await modelCache.findModel(undefined))?.name;
    return (await modelCache.listModels()).some((model) => model.name === name) ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The measured time per image, of all workers together; undefined before the first measurement. */
async function findImageMs(modelCache: ModelCache, model: string): Promise<number | undefined> {
  return meanImageMs((await modelCache.readQueue(model))?.workers ?? []);
}
