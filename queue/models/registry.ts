/** All models that were ever registered: their queues, whether they accept work, the default model, and how idle models are removed. */
import * as z from 'zod';
import { ModelName, type QueueState, ServedModel, WorkerRecord } from '../contract.ts';
import { runStep } from '../lua/lua-steps.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis, isRedisUnavailable } from '../redis/errors.ts';
import { type ModelKeys, modelKeys, type RegistryKeys, registryKeys } from '../redis/keys.ts';
import type { ReportUnreadable } from '../redis/unreadable-records.ts';
import { parseQueueState, type QueueReply } from './queue-state.ts';

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

/** Every call rejects with InferqlError UNAVAILABLE while Redis does not answer. */
export class Registry {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #keys: RegistryKeys;
  readonly #reportUnreadable: ReportUnreadable;

  constructor(
    redis: RedisConnection,
    { prefix, reportUnreadable = () => undefined }: { prefix: string; reportUnreadable?: ReportUnreadable },
  ) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#keys = registryKeys(prefix);
    this.#reportUnreadable = reportUnreadable;
  }

  /** Every model ever registered: a withdrawn one may still have open predictions. */
  async modelNames(): Promise<string[]> {
    const names = await callRedis(() => this.#redis.smembers(this.#keys.models));
    return names.filter((name) => {
      const isName = ModelName.safeParse(name).success;
      if (!isName) this.#reportUnreadable('the list of models', new Error('a name that no model can have'));
      return isName;
    });
  }

  /** The current version of every registered model that this release can read, by name. */
  async models(): Promise<ServedModel[]> {
    const names = await this.modelNames();
    const models = await callRedis(() => Promise.all(names.sort().map((name) => this.#readModel(name))));
    return models.filter((model) => model !== null && model !== 'unreadable');
  }

  /** As `models`, and for each whether it accepts work. */
  async knownModels(): Promise<KnownModel[]> {
    const names = await this.modelNames();
    const models = await callRedis(() => Promise.all(names.sort().map((name) => this.#readKnownModel(name))));
    return models.filter((model) => model !== undefined);
  }

  /** Whether another release registered a model of that name in a form that this one cannot read. */
  async isUnreadable(name: string): Promise<boolean> {
    if (!ModelName.safeParse(name).success) return false;
    return (await callRedis(() => this.#readModel(name))) === 'unreadable';
  }

  /** The model's queue at this moment; null if it was never registered. */
  async queueState(model: string): Promise<QueueState | null> {
    const [spec, reply] = await callRedis(() =>
      Promise.all([this.#readModel(model), runStep(this.#redis, 'read-queue', this.#keysOf(model), [])]),
    );
    if (!spec || spec === 'unreadable') return null;
    return parseQueueState(spec, reply as QueueReply, (record) => this.#readRecord(model, record));
  }

  /** The class names of a version; null if no worker has registered them. */
  async readLabels(name: string, version: string): Promise<string[] | null> {
    const text = await callRedis(() => this.#redis.hget(this.#keysOf(name).labels, version));
    const labels = text === null ? undefined : labelsSchema.safeParse(JSON.parse(text));
    return labels?.data ?? null;
  }

  /** The class names of a version's further heads, by head; null if no worker has registered them. */
  async readHeadLabels(name: string, version: string): Promise<Record<string, string[]> | null> {
    const text = await callRedis(() => this.#redis.hget(this.#keysOf(name).headLabels, version));
    return (text === null ? undefined : headLabelsSchema.safeParse(JSON.parse(text)).data) ?? null;
  }

  /** The name of the default model, as the repository of the last worker says; null if none does. */
  defaultModel(): Promise<string | null> {
    return callRedis(() => this.#redis.get(this.#keys.default));
  }

  /** Servers are notified if it changed. */
  async setDefaultModel(name: string): Promise<void> {
    const before = await callRedis(() => this.#redis.set(this.#keys.default, name, 'GET'));
    if (before !== name) await callRedis(() => this.#redis.publish(this.#keys.changed, name));
  }

  /**
   * Removes what is kept of a model that nobody serves.
   * @param idleMs how long it must have been without a worker
   * @param withDeadLetters remove those, too
   */
  async forget(name: string, { idleMs = 0, withDeadLetters = false } = {}): Promise<ForgetOutcome> {
    if (!ModelName.safeParse(name).success) return { kind: 'unknown' };
    if (!(await callRedis(() => this.#redis.sismember(this.#keys.models, name)))) return { kind: 'unknown' };
    const keys = this.#keysOf(name);
    const args = [idleMs, withDeadLetters ? '1' : '0'];
    const [kind, count] = (await callRedis(() => runStep(this.#redis, 'forget-model', keys, args))) as [
      ForgetOutcome['kind'],
      number,
    ];
    if (kind === 'open' || kind === 'deadLetters') return { kind, count };
    // A worker that registers it at this moment adds the name again with its next heartbeat.
    if (kind === 'forgotten') {
      await callRedis(() => this.#redis.del(keys.labels, keys.headLabels));
      await callRedis(() => this.#redis.srem(this.#keys.models, name));
      await callRedis(() => this.#redis.publish(this.#keys.changed, name));
    }
    return { kind };
  }

  /** Forgets every model that nobody has served for FORGET_AFTER_MS. Any process may call it at any time. */
  async forgetIdle(): Promise<string[]> {
    const forgotten: string[] = [];
    for (const name of await this.modelNames()) {
      try {
        const { kind } = await this.forget(name, { idleMs: FORGET_AFTER_MS });
        if (kind === 'forgotten') forgotten.push(name);
      } catch (error) {
        if (isRedisUnavailable(error)) throw error;
        this.#reportUnreadable(`model ${name}`, error);
      }
    }
    return forgotten;
  }

  #keysOf(model: string): ModelKeys {
    return modelKeys(this.#prefix, model);
  }

  /** @returns null if it was never registered, 'unreadable' if another release registered it */
  async #readModel(name: string): Promise<ServedModel | null | 'unreadable'> {
    const { specs } = this.#keysOf(name);
    try {
      const current = await this.#redis.hget(specs, 'current');
      const spec = current && (await this.#redis.hget(specs, current));
      return spec ? ServedModel.parse(JSON.parse(spec)) : null;
    } catch (error) {
      if (isRedisUnavailable(error)) throw error;
      this.#reportUnreadable(`model ${name}`, error);
      return 'unreadable';
    }
  }

  async #readKnownModel(name: string): Promise<KnownModel | undefined> {
    try {
      const reply = (await runStep(this.#redis, 'read-model', this.#keysOf(name), [])) as [string | null, number];
      const [spec, idleMs] = reply;
      if (!spec) return undefined;
      const model = ServedModel.parse(JSON.parse(spec));
      return { model, idleMs, isOffered: idleMs <= model.queue.graceMs };
    } catch (error) {
      if (isRedisUnavailable(error)) throw error;
      this.#reportUnreadable(`model ${name}`, error);
      return undefined;
    }
  }

  #readRecord(model: string, text: string): WorkerRecord | undefined {
    try {
      return WorkerRecord.parse(JSON.parse(text));
    } catch (error) {
      this.#reportUnreadable(`a worker of model ${model}`, error);
      return undefined;
    }
  }
}
