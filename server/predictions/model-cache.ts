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

export type ModelCache = ReturnType<typeof createModelCache>;

/** The models and queues as this server last read them, so that most requests need not read Redis. */
export function createModelCache({ registry, defaultModel }: { registry: Registry; defaultModel: string | undefined }) {
  let models: Promise<Models> | undefined;
  let readAtMs = 0;
  const queues = new Map<string, { state: Promise<QueueState | null>; readAtMs: number }>();

  /** Rejects with UNAVAILABLE while Redis does not answer and nothing was read before. */
  function read(maxAgeMs = MODELS_MAX_AGE_MS): Promise<Models> {
    if (models && performance.now() - readAtMs < maxAgeMs) return models;
    readAtMs = performance.now();
    const reading = readModels();
    models = reading;
    reading.catch(() => {
      if (models === reading) models = undefined;
    });
    return reading;
  }

  async function readModels(): Promise<Models> {
    const [known, preferred] = await Promise.all([registry.knownModels(), registry.defaultModel()]);
    return { known, preferred };
  }

  return {
    /** The models that accept work, by name. */
    async listModels(maxAgeMs = MODELS_MAX_AGE_MS): Promise<ServedModel[]> {
      return (await read(maxAgeMs)).known.filter(({ isOffered }) => isOffered).map(({ model }) => model);
    },

    /** The next request reads the models again. */
    forget(): void {
      models = undefined;
    },

    /**
     * The model of that name, or the default one if no name is given; undefined if no such model accepts work.
     * @param mayUse whether the caller may use a model; callers that may not use the default get the first by name
     * @throws InferqlError UNAVAILABLE if another release registered it in a form that this one cannot read
     */
    async findModel(
      name: string | undefined,
      mayUse: (model: string) => boolean = () => true,
    ): Promise<ServedModel | undefined> {
      if (name !== undefined && !mayUse(name)) return undefined;
      const wanted = name ?? (defaultModel !== undefined && mayUse(defaultModel) ? defaultModel : undefined);
      const find = ({ known, preferred }: Models) => {
        const offered = known.filter(({ isOffered, model }) => isOffered && mayUse(model.name));
        if (wanted !== undefined) return offered.find(({ model }) => model.name === wanted);
        // A model without a live worker is not the default while another one is served.
        return (
          offered.find(({ model }) => model.name === preferred) ??
          offered.find(({ idleMs }) => idleMs === 0) ??
          offered[0]
        );
      };
      const found = find(await read());
      // A model that was registered a moment ago may not be in the cache.
      const readAgain = (found ?? find(await read(0)))?.model;
      if (!readAgain && wanted !== undefined && (await registry.isUnreadable(wanted))) {
        const message =
          'This server cannot read the specification of that model: it was registered by another release.';
        throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 5_000 });
      }
      return readAgain;
    },

    /** Whether a model of that name is registered, but has had no worker for longer than its grace period. */
    async isUnserved(name: string): Promise<boolean> {
      return (await read()).known.some(({ model, isOffered }) => model.name === name && !isOffered);
    },

    /**
     * A model's queue, as it was at most `maxAgeMs` ago.
     * @returns null if the model was never registered
     */
    readQueue(model: string, maxAgeMs = QUEUE_MAX_AGE_MS): Promise<QueueState | null> {
      const known = queues.get(model);
      if (known && performance.now() - known.readAtMs < maxAgeMs) return known.state;
      const state = registry.queueState(model);
      queues.set(model, { state, readAtMs: performance.now() });
      state.catch(() => queues.delete(model));
      return state;
    },
  };
}
