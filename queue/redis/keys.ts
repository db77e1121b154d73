/** Every Redis key. A model's keys share one Cluster hash tag, so that one Lua step can touch them all. */
import type { Priority } from '../contract.ts';

export const DEFAULT_PREFIX = 'inferql';

/** The consumer group of every stream. */
export const GROUP = 'workers';

/** Names of all models ever registered, the channel that reports changes among them, and the name of the default one. */
export function registryKeys(prefix: string) {
  return { models: `${prefix}:models`, changed: `${prefix}:models:changed`, default: `${prefix}:models:default` };
}

export type RegistryKeys = ReturnType<typeof registryKeys>;

/** Prefix of a tenant's limits and quotas: one number per key, on one Cluster slot per tenant. */
export function tenantLimitKeys(prefix: string, tenant: string): string {
  return `${prefix}:limit:{${tenant}}:`;
}

/** API keys and browser tokens. One Cluster hash tag, which no model's name can be, so that a change of several keys is one transaction. */
export function accessKeys(prefix: string) {
  const base = `${prefix}:{:access}`;
  return {
    /** Hash per API key or token: its record, see api-keys.ts. */
    record: `${base}:key:`,
    /** Set: the ids of all API keys; tokens are not listed, they expire. */
    ids: `${base}:ids`,
    /** Hash: when a key was last used, in Unix milliseconds, by id. */
    lastUsed: `${base}:last-used`,
    /** Hash per tenant for which something is set, see tenant-store.ts. */
    tenant: `${base}:tenant:`,
    /** Set: the names of those tenants. */
    tenants: `${base}:tenants`,
    /** Pub/sub channel: the id of each key that was created, changed or revoked; tenants whose settings changed. */
    changed: `${base}:changed`,
  };
}

/** A model's keys. Those that end in ':' are prefixes of one key per id. */
export function modelKeys(prefix: string, model: string) {
  const base = `${prefix}:{${model}}`;
  return {
    /** Hash per prediction: its state. */
    prediction: `${base}:prediction:`,
    /** Hash per job, from its admission to its end. */
    job: `${base}:job:`,
    /** Set per job: the predictions that share it. */
    jobPredictions: `${base}:followers:`,
    /** Sorted set: jobs not yet started, by lane and order of arrival. */
    waiting: `${base}:waiting`,
    /** Sorted set: open predictions by deadline. */
    deadlines: `${base}:deadlines`,
    /** Hash of counters: sequence of the channel, order of arrival, bytes held, jobs started, ended by status. */
    counters: `${base}:counters`,
    /** Pub/sub channel of every change of a prediction. */
    channel: `${base}:events`,
    /** Stream of dead letters. */
    dead: `${base}:dead`,
    /** Hash: 'current', and one registered spec per version. */
    specs: `${base}:specs`,
    /** Hash: the class names of each version, as JSON. */
    labels: `${base}:labels`,
    /** Hash: the class names of each version's further heads, as a JSON object by head. */
    headLabels: `${base}:head-labels`,
    /** Sorted set: workers by the time at which they count as gone. */
    alive: `${base}:alive`,
    /** Hash per worker: its record. */
    workers: `${base}:workers`,
    /** String per content digest: its open job. */
    shared: `${base}:shared:`,
    /** String per content digest: its cached result. */
    cache: `${base}:cache:`,
    /** Hash per idempotency key of a tenant: its prediction. */
    idempotency: `${base}:idempotency:`,
    /** Stream per version and lane. */
    stream: `${base}:stream:`,
    /** Per lane of a version: tags and backlogs of its tenants. Kept by lua/shared/tenant-scheduler.lua. */
    fair: `${base}:fair:`,
    /** Hash: how many jobs wait, per tenant that has any. */
    tenants: `${base}:tenants`,
    /** Hash: the weight of each of those tenants, as its latest admission gave it. */
    weights: `${base}:weights`,
    /** Hash: how many predictions are open, waiting or running, per tenant that has any. */
    open: `${base}:open`,
    /** Hash: how many jobs workers have begun, per tenant that has any. */
    running: `${base}:running`,
    /** Sorted set: charges of jobs that ended before any worker began them, as id and charge; servers give them back. */
    refunds: `${base}:refunds`,
    /** String per id whose admission was in doubt and did not happen: it can no longer be admitted. */
    refused: `${base}:refused:`,
  };
}
export type ModelKeys = ReturnType<typeof modelKeys>;

/** The stream of one lane of a model version. */
export function streamKey(keys: ModelKeys, version: string, priority: Priority): string {
  return `${keys.stream}${version}:${priority}`;
}

/** Sorted set: the tenants with a backlog in one lane of a model version, by their tags; there is none without a backlog. */
export function activeTenantsKey(keys: ModelKeys, version: string, priority: Priority): string {
  return `${keys.fair}${version}:${priority}:active`;
}
