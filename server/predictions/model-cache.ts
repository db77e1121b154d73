/** Caches models and queues, so that most requests do not read Redis. */
import type { QueueState, ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { KnownModel, Registry } from '@inferql/queue/models/registry';

/** How long cached models are used, in milliseconds. The event channel reports changed models earlier. */
const MODELS_MAX_AGE_MS = 5_000;
const QUEUE_MAX_AGE_MS = 200;

interface Models {
  known: KnownModel[];
  /** The default model, as the workers' repositories set it. */
  preferred: string | null;
}

interface ModelCacheOptions {
  registry: Registry;
  /** The default model by this server's settings. */
  defaultModel: string | undefined;
}

/** The models and queues as this server last read them. */
export class ModelCache {
  readonly #registry: Registry;
  readonly #defaultModel: string | undefined;
  readonly #queues = new Map<string, { state: Promise<QueueState | null>; readAtMs: number }>();
  #models: Promise<Models> | undefined;
  #readAtMs = 0;

  constructor({ registry, defaultModel }: ModelCacheOptions) {
    this.#registry = registry;
    this.#defaultModel = defaultModel;
  }

  /**
   * The models that accept work, by name.
   * @throws InferqlError UNAVAILABLE while Redis does not answer and nothing was read before
   */
  async listModels(maxAgeMs = MODELS_MAX_AGE_MS): Promise<ServedModel[]> {
    return (await this.#read(maxAgeMs)).known.filter(({ isOffered }) => isOffered).map(({ model }) => model);
  }

  /** The names of all models that Redis knows, also of those without a worker: their predictions may still wait. */
  async listKnownNames(maxAgeMs = MODELS_MAX_AGE_MS): Promise<string[]> {
    return (await this.#read(maxAgeMs)).known.map(({ model }) => model.name);
  }

  /** The next request reads the models again. */
  forget(): void {
    this.#models = undefined;
  }

  /**
   * The model of that name, or the default one if no name is given; undefined if no such model accepts work.
   * @param mayUse whether the caller may use a model; callers that may not use the default get the first by name
   * @throws InferqlError UNAVAILABLE as `listModels`, and if another release registered the model in a form that this one cannot read
   */
  async findModel(
    name: string | undefined,
    mayUse: (model: string) => boolean = () => true,
  ): Promise<ServedModel | undefined> {
    if (name !== undefined && !mayUse(name)) return undefined;
    const { model, isUnreadable } = await this.#choose(name, mayUse);
    if (isUnreadable) {
      const message = 'This server cannot read the specification of that model: it was registered by another release.';
      throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 5_000 });
    }
    return model;
  }

  /**
   * Whether requests without a model's name get the one of this name.
   * @throws InferqlError UNAVAILABLE as `listModels`
   */
  async isDefault(name: string, mayUse: (model: string) => boolean): Promise<boolean> {
    const { model, isUnreadable } = await this.#choose(undefined, mayUse);
    return !isUnreadable && model?.name === name;
  }

  async #choose(
    name: string | undefined,
    mayUse: (model: string) => boolean,
  ): Promise<{ model: ServedModel | undefined; isUnreadable: boolean }> {
    const wanted =
      name ?? (this.#defaultModel !== undefined && mayUse(this.#defaultModel) ? this.#defaultModel : undefined);
    // A model that was registered a moment ago may not be in the cache.
    const model = chooseModel(await this.#read(), wanted, mayUse) ?? chooseModel(await this.#read(0), wanted, mayUse);
    const meant = wanted ?? (await this.#read()).preferred;
    // Another model's answer must not pass for the default one's.
    const isUnreadable =
      meant !== null && model?.name !== meant && mayUse(meant) && (await this.#registry.isUnreadable(meant));
    return { model, isUnreadable };
  }

  /** Whether a model of that name is registered, but has had no worker for longer than its grace period. */
  async isUnserved(name: string): Promise<boolean> {
    return (await this.#read()).known.some(({ model, isOffered }) => model.name === name && !isOffered);
  }

  /**
   * A model's queue, as it was at most `maxAgeMs` ago.
   * @returns null if the model was never registered
   */
  readQueue(model: string, maxAgeMs = QUEUE_MAX_AGE_MS): Promise<QueueState | null> {
    const known = this.#queues.get(model);
    if (known && performance.now() - known.readAtMs < maxAgeMs) return known.state;
    const state = this.#registry.queueState(model);
    this.#queues.set(model, { state, readAtMs: performance.now() });
    state.catch(() => this.#queues.delete(model));
    return state;
  }

  #read(maxAgeMs = MODELS_MAX_AGE_MS): Promise<Models> {
    if (this.#models && performance.now() - this.#readAtMs < maxAgeMs) return this.#models;
    this.#readAtMs = performance.now();
    const reading = this.#readModels();
    this.#models = reading;
    reading.catch(() => {
      if (this.#models === reading) this.#models = undefined;
    });
    return reading;
  }

  async #readModels(): Promise<Models> {
    const [known, preferred] = await Promise.all([this.#registry.knownModels(), this.#registry.defaultModel()]);
    return { known, preferred };
  }
}

/** @param wanted the name of a model, undefined for the default one */
function chooseModel(
  { known, preferred }: Models,
  wanted: string | undefined,
  mayUse: (model: string) => boolean,
): ServedModel | undefined {
  const offered = known.filter(({ isOffered, model }) => isOffered && mayUse(model.name));
  if (wanted !== undefined) return offered.find(({ model }) => model.name === wanted)?.model;
  // A model without a live worker is not the default while another one is served.
  const chosen =
    offered.find(({ model }) => model.name === preferred) ?? offered.find(({ idleMs }) => idleMs === 0) ?? offered[0];
  return chosen?.model;
}
