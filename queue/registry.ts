/** The models that were ever registered: which of them are offered, which one is the default, and how they are forgotten. */
import { z } from 'zod';
import { ModelName, ServedModel } from './contract.ts';
import { modelKeys, registryKeys } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { callRedis, isRedisUnavailable } from './redis-errors.ts';
import { runStep } from './scripts.ts';
import type { ReportUnreadable } from './unreadable.ts';

/** A model that nobody has served for this long is forgotten, unless it has open predictions or dead letters. */
export const FORGET_AFTER_MS = 24 * 60 * 60 * 1000;

const labelsSchema = z.array(z.string());
const headLabelsSchema = z.record(z.string(), labelsSchema);

export interface KnownModel {
  model: ServedModel;
  /** Milliseconds since a worker that serves it was last alive; 0 while one is. */
  idleMs: number;
  /** Whether it accepts work: a worker serves it, or did until less than its grace period ago. */
  isOffered: boolean;
}

export type ForgetOutcome =
  | { kind: 'forgotten' }
  /** A worker serves it, or did a short while ago. */
  | { kind: 'served' }
  /** No such model was ever registered. */
  | { kind: 'unknown' }
  /** This many predictions have not ended, or this many dead letters are kept. */
  | { kind: 'open' | 'deadLetters'; count: number };

export type Registry = ReturnType<typeof createRegistry>;

/** Every call rejects with InferqlError UNAVAILABLE while Redis does not answer. */
export function createRegistry(
  redis: RedisConnection,
  { prefix, reportUnreadable = () => undefined }: { prefix: string; reportUnreadable?: ReportUnreadable },
) {
  const registry = registryKeys(prefix);

  async function readModel(name: string): Promise<KnownModel | undefined> {
    try {
      const [spec, idleMs] = (await runStep(redis, 'model', modelKeys(prefix, name), [])) as [string | null, number];
      if (!spec) return undefined;
      const model = ServedModel.parse(JSON.parse(spec));
      return { model, idleMs, isOffered: idleMs <= model.queue.graceMs };
    } catch (error) {
      if (isRedisUnavailable(error)) throw error;
      reportUnreadable(`model ${name}`, error);
      return undefined;
    }
  }

  async function readNames(): Promise<string[]> {
    const names = await callRedis(() => redis.smembers(registry.models));
    return names.filter((name) => {
      const isName = ModelName.safeParse(name).success;
      if (!isName) reportUnreadable('the list of models', new Error('a name that no model can have'));
      return isName;
    });
  }

  return {
    /** The current version of every registered model that this release can read, by name. */
    async knownModels(): Promise<KnownModel[]> {
      const names = await readNames();
      const models = await callRedis(() => Promise.all(names.sort().map(readModel)));
      return models.filter((model) => model !== undefined);
    },

    /** The class names of a version; null if no worker has registered them. */
    async readLabels(name: string, version: string): Promise<string[] | null> {
      const text = await callRedis(() => redis.hget(modelKeys(prefix, name).labels, version));
      const labels = text === null ? undefined : labelsSchema.safeParse(JSON.parse(text));
      return labels?.data ?? null;
    },

    /** The class names of a version's further heads, by head; null if no worker has announced them. */
    async readHeadLabels(name: string, version: string): Promise<Record<string, string[]> | null> {
      const text = await callRedis(() => redis.hget(modelKeys(prefix, name).headLabels, version));
      return (text === null ? undefined : headLabelsSchema.safeParse(JSON.parse(text)).data) ?? null;
    },

    /** The name of the default model, as the repository of the last worker says; null if none does. */
    async defaultModel(): Promise<string | null> {
      return callRedis(() => redis.get(registry.default));
    },

    /** Servers are notified if it changed. */
    async setDefaultModel(name: string): Promise<void> {
      const before = await callRedis(() => redis.getset(registry.default, name));
      if (before !== name) await callRedis(() => redis.publish(registry.changed, name));
    },

    /**
     * Removes what is kept of a model that nobody serves.
     * @param idleMs how long it must have been without a worker
     * @param withDeadLetters remove those, too
     */
    async forget(name: string, { idleMs = 0, withDeadLetters = false } = {}): Promise<ForgetOutcome> {
      if (!ModelName.safeParse(name).success) return { kind: 'unknown' };
      if (!(await callRedis(() => redis.sismember(registry.models, name)))) return { kind: 'unknown' };
      const args = [idleMs, withDeadLetters ? '1' : '0'];
      const reply = (await callRedis(() => runStep(redis, 'forget', modelKeys(prefix, name), args))) as [
        ForgetOutcome['kind'],
        number,
      ];
      const [kind, count] = reply;
      if (kind === 'open' || kind === 'deadLetters') return { kind, count };
      // A worker that registers it at this moment adds the name again with its next heartbeat.
      if (kind === 'forgotten') {
        const { labels, headLabels } = modelKeys(prefix, name);
        await callRedis(() => redis.del(labels, headLabels));
        await callRedis(() => redis.srem(registry.models, name));
        await callRedis(() => redis.publish(registry.changed, name));
      }
      return { kind };
    },

    /** Forgets every model that nobody has served for FORGET_AFTER_MS. Any process may call it at any time. */
    async forgetIdle(): Promise<string[]> {
      const forgotten: string[] = [];
      for (const name of await readNames()) {
        try {
          const { kind } = await this.forget(name, { idleMs: FORGET_AFTER_MS });
          if (kind === 'forgotten') forgotten.push(name);
        } catch (error) {
          if (isRedisUnavailable(error)) throw error;
          reportUnreadable(`model ${name}`, error);
        }
      }
      return forgotten;
    },
  };
}
