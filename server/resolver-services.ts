/** What resolvers may do, and for whom: each call checks what the caller may see. */

import type { LimitState } from '@inferql/queue/access/rate-limiter';
import type { PredictionState, ServedModel } from '@inferql/queue/contract';
import type { Producer } from '@inferql/queue/predictions/producer';
import type { Access } from './access/access.ts';
import type { CreatedToken, TokenRequest } from './access/browser-tokens.ts';
import { mayUseModel, type Principal } from './access/principal.ts';
import type { Config } from './config.ts';
import type { ClassNames } from './predictions/class-names.ts';
import type { ModelCache } from './predictions/model-cache.ts';
import type { Predictions, PredictionView } from './predictions/predictions.ts';
import type { Audience, QueueStats, QueueStatsReader } from './predictions/queue-stats.ts';
import type { SubmitRequest } from './predictions/submit-request.ts';
import type { ImageFetcher } from './sources/image-fetcher.ts';
import { type ImageSource, openImageSource } from './sources/image-source.ts';
import type { UploadedFile } from './uploads/uploaded-file.ts';

const MAX_INT = 2 ** 31 - 1;

/** What a server accepts; sizes in bytes, times in milliseconds. */
export type ServerLimits = Pick<
  Config,
  | 'maxUploadBytes'
  | 'maxPixels'
  | 'maxImages'
  | 'maxBodyBytes'
  | 'maxQueryBytes'
  | 'maxWaitMs'
  | 'maxSubscriptionsPerConnection'
>;

interface Parts {
  config: Config;
  access: Access;
  producer: Producer;
  predictions: Predictions;
  fetcher: ImageFetcher;
  modelCache: ModelCache;
  classNames: ClassNames;
  queueStats: QueueStatsReader;
}

/** Models that the caller may not use are hidden, and so are other tenants' predictions. */
export class Services {
  readonly limits: ServerLimits;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.limits = parts.config;
    this.#parts = parts;
  }

  /** @throws InferqlError that is a union member or a GraphQL error */
  submit(request: SubmitRequest): Promise<PredictionView> {
    return this.#parts.predictions.submit(request);
  }

  /** The image at a URL or in a `data:` URL, as a file. Rejects, or throws, with an InferqlError. */
  openSource(source: ImageSource, { tenant }: Principal, signal: AbortSignal | undefined): UploadedFile {
    const { fetcher, config } = this.#parts;
    return openImageSource(source, { tenant, signal }, { fetcher, maxBytes: config.maxUploadBytes });
  }

  /** Null if there is no such prediction, or if it is another tenant's. */
  readPrediction(caller: Principal, id: string): Promise<PredictionView | null> {
    return this.#parts.predictions.read(caller, id);
  }

  /** Null as for readPrediction. */
  cancelPrediction(caller: Principal, id: string): Promise<PredictionView | null> {
    return this.#parts.predictions.cancel(caller, id);
  }

  /**
   * The current state at once, then each later one; ends after the terminal one.
   * @param wantsPositions whether changes of the queue position count as states
   * @throws InferqlError NOT_FOUND, also for another tenant's
   */
  watchPrediction(caller: Principal, id: string, wantsPositions: boolean): Promise<AsyncIterable<PredictionView>> {
    const { access, predictions } = this.#parts;
    return access.subscribe(caller, () => predictions.watch(caller, id, wantsPositions));
  }

  /** As watchPrediction with positions, for whoever sent the image: if the server shuts down, the stream continues for `config.drainMs`. */
  followSubmitted(caller: Principal, id: string): Promise<AsyncIterable<PredictionView>> {
    const { access, predictions, config } = this.#parts;
    return access.subscribe(caller, () => predictions.watch(caller, id, true, config.drainMs));
  }

  /** @throws InferqlError INVALID_INPUT; FORBIDDEN if it asks for more than the caller's key has */
  createToken(caller: Principal, request: TokenRequest): Promise<CreatedToken> {
    return this.#parts.access.createToken(caller, request);
  }

  /** What is left of each limit and quota of the caller. */
  readLimits(caller: Principal): Promise<LimitState[]> {
    return this.#parts.access.limits.read(caller);
  }

  /** The queue position from 1, or undefined if it does not wait. */
  async findPosition({ id }: PredictionState): Promise<number | undefined> {
    return (await this.#parts.producer.read(id))?.position;
  }

  /** Milliseconds until a prediction at this position starts, or undefined if no rate is known yet. */
  async estimateStartMs(model: string, position: number): Promise<number | undefined> {
    const rate = (await this.#parts.modelCache.readQueue(model))?.capacityPerSecond;
    return rate ? Math.min(MAX_INT, Math.round((position / rate) * 1000)) : undefined;
  }

  async listModels(caller: Principal): Promise<ServedModel[]> {
    // A caller may know about a model before this server does.
    const models = await this.#parts.modelCache.listModels(0);
    return models.filter(({ name }) => mayUseModel(caller, name));
  }

  /** @param name undefined: the default model */
  findModel(caller: Principal, name: string | undefined): Promise<ServedModel | undefined> {
    return this.#parts.modelCache.findModel(name, (model) => mayUseModel(caller, model));
  }

  /** Whether the caller's requests without a model's name get the one of this name. */
  isDefaultModel(caller: Principal, name: string): Promise<boolean> {
    return this.#parts.modelCache.isDefault(name, (model) => mayUseModel(caller, model));
  }

  /** The class names of a version that the caller may use; null if no worker has registered them. */
  readClassNames(model: string, version: string): Promise<string[] | null> {
    return this.#parts.classNames.ofModel(model, version);
  }

  /** As readClassNames, of further heads, by head. */
  readHeadLabels(model: string, version: string): Promise<Record<string, string[]> | null> {
    return this.#parts.classNames.ofHeads(model, version);
  }

  /** Null if no model of that name (or none at all) is known. */
  viewQueue(caller: Principal, model: string | undefined): Promise<QueueStats | null> {
    return this.#parts.queueStats.view(model, audienceOf(caller));
  }

  /** At once, then about once a second while it changes. @throws InferqlError MODEL_NOT_FOUND */
  watchQueue(caller: Principal, model: string | undefined): Promise<AsyncIterable<QueueStats>> {
    const { access, queueStats } = this.#parts;
    return access.subscribe(caller, () => queueStats.watch(model, audienceOf(caller)));
  }
}

function audienceOf(caller: Principal): Audience {
  const { tenant, scopes } = caller;
  return { tenant, isOperator: scopes.has('operate'), mayUse: (model) => mayUseModel(caller, model) };
}
