/** What resolvers may do, and for whom: each call checks what the caller may see. */
import type { Producer } from '@inferql/queue/producer';
import type { Access } from './access/index.ts';
import { mayUseModel, type Principal } from './access/principal.ts';
import type { Config } from './config.ts';
import type { ClassNames } from './predictions/class-names.ts';
import type { ModelCache } from './predictions/model-cache.ts';
import type { Predictions } from './predictions/predictions.ts';
import type { Audience, QueueStatsReader } from './predictions/queue-stats.ts';
import type { Services } from './schema/context.ts';
import type { ImageFetcher } from './sources/image-fetcher.ts';
import { openImageSource } from './sources/image-source.ts';

const MAX_INT = 2 ** 31 - 1;

export function createResolverServices(parts: {
  config: Config;
  access: Access;
  producer: Producer;
  predictions: Predictions;
  fetcher: ImageFetcher;
  modelCache: ModelCache;
  classNames: ClassNames;
  queueStats: QueueStatsReader;
}): Services {
  const { config, access, producer, predictions, fetcher, modelCache, classNames, queueStats } = parts;
  return {
    limits: config,
    submit: (request) => predictions.submit(request),
    openSource: (source, { tenant }, signal) =>
      openImageSource(source, { tenant, signal }, { fetcher, maxBytes: config.maxUploadBytes }),
    readPrediction: (caller, id) => predictions.read(caller, id),
    cancelPrediction: (caller, id) => predictions.cancel(caller, id),
    createToken: (caller, request) => access.createToken(caller, request),
    readLimits: (caller) => access.limits.read(caller),
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
}

function audienceOf(caller: Principal): Audience {
  const { tenant, scopes } = caller;
  return { tenant, isOperator: scopes.has('operate'), mayUse: (model) => mayUseModel(caller, model) };
}
