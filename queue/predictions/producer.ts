/** The server's side of the queue: admit, cancel, read. No call waits for a prediction; event-channel.ts reports changes. */
import { createHash } from 'node:crypto';
import {
  type Caller,
  type JobOptions,
  modelOfPrediction,
  type PredictionState,
  type Priority,
  type ServedModel,
} from '../contract.ts';
import { InferqlError } from '../error-codes.ts';
import { EXPIRE_BATCH_SIZE, runStep } from '../lua/lua-steps.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { type ModelKeys, modelKeys } from '../redis/keys.ts';
import type { ReportUnreadable } from '../redis/unreadable-records.ts';
import { parseSnapshot, type Snapshot } from './prediction-snapshot.ts';

export interface AdmitRequest {
  /** From newPredictionId(model.name), created before the first send. */
  id: string;
  model: ServedModel;
  /** Prepared pixels, imageByteLength(model.input) bytes. */
  image: Uint8Array;
  options: JobOptions;
  priority: Priority;
  timeoutMs: number;
  /** Whose request it is. */
  caller: Caller;
  /** The share of the queue that a single tenant may hold, 0 to 1. @default 1 */
  tenantShare?: number;
  /** Measured predictions per second of all workers, to refuse predictions that cannot end before their deadline; absent: none are refused. */
  capacityPerSecond?: number | undefined;
  /** From `Limiter.take`: refunded if the job ends before a worker starts it (refunds.ts). */
  charge?: string | undefined;
  /** The operator acts for the tenant: its idempotency keys are separate from the tenant's, and the tenant keeps its weight. @default false */
  byOperator?: boolean;
  idempotencyKey?: string | undefined;
  /** Admit nothing new: return the prediction that the idempotency key names. @default false */
  repeatOnly?: boolean;
  /**
   * Digest of what the caller sent with its idempotencyKey. The pixels do not identify an image, since each model version may prepare it differently.
   * @default a digest of pixels, version and options
   */
  content?: string | undefined;
  /** Whether it may share an identical job in flight. */
  share: boolean;
  /** Whether sharing and the cache work across tenants. One tenant can then infer from response times that another sent the same image. @default false */
  shareAcrossTenants?: boolean;
  /** How long the result may be reused for identical requests, in milliseconds; 0: never, and the cache is not read either. */
  cacheTtlMs: number;
  /** The prediction that this one retries. */
  retryOf?: string | undefined;
}

export type AdmitOutcome =
  /** `state.id` differs from the given id if the idempotency key named an earlier prediction. */
  | ({ kind: 'admitted' } & Snapshot)
  | { kind: 'queueFull'; waiting: number; queuedBytes: number }
  /** At the measured rate, it would end this many milliseconds after its deadline. */
  | { kind: 'deadlineUnreachable'; lateMs: number }
  /** No live worker for longer than the model's grace period. */
  | { kind: 'unavailable' }
  /** Another version became current meanwhile: read the models again and prepare the image again. */
  | { kind: 'staleVersion' }
  | { kind: 'idempotencyConflict' }
  /** `repeatOnly`, and no earlier prediction has the idempotency key. */
  | { kind: 'notRepeated' };

function fingerprint(request: AdmitRequest): string {
  const scope = request.shareAcrossTenants ? '' : request.caller.tenant;
  return createHash('sha256')
    .update(`${JSON.stringify(scope)} ${request.model.version} ${JSON.stringify(request.options)} `)
    .update(request.image)
    .digest('base64url');
}

function digestKey(tenant: string, idempotencyKey: string, byOperator = false): string {
  return createHash('sha256')
    .update(JSON.stringify([tenant, idempotencyKey, ...(byOperator ? ['operator'] : [])]))
    .digest('base64url');
}

/**
 * The server's side of the queue: admits predictions, reads them and cancels them.
 * Every call rejects with InferqlError UNAVAILABLE while Redis is down, full, read-only or loading.
 * A record that this release cannot read is reported and skipped; other records are not affected.
 * @example
 * const producer = new Producer(connectRedis('redis://127.0.0.1:6379', 'request'), { prefix: DEFAULT_PREFIX });
 * const outcome = await producer.admit({
 *   id: newPredictionId(model.name),
 *   model,
 *   image: pixels,
 *   options: { heatmap: false },
 *   priority: 'NORMAL',
 *   timeoutMs: 60_000,
 *   caller: ANONYMOUS_CALLER,
 *   share: true,
 *   cacheTtlMs: 0,
 * });
 * if (outcome.kind === 'admitted') console.log(outcome.state.status);
 */
export class Producer {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #reportUnreadable: ReportUnreadable;

  /** @param redis a connection of the role 'request' */
  constructor(
    redis: RedisConnection,
    { prefix, reportUnreadable = () => undefined }: { prefix: string; reportUnreadable?: ReportUnreadable },
  ) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#reportUnreadable = reportUnreadable;
  }

  /** Admits a prediction and queues its job, or returns why it was refused. Safe to call again with the same id. */
  async admit(request: AdmitRequest): Promise<AdmitOutcome> {
    const args = [JSON.stringify(admission(request)), request.image];
    const keys = this.#keysOf(request.model.name);
    const reply = (await callRedis(() => runStep(this.#redis, 'admit', keys, args))) as [
      AdmitOutcome['kind'],
      ...unknown[],
    ];
    switch (reply[0]) {
      case 'admitted':
        return { kind: 'admitted', ...parseSnapshot(reply[1])! };
      case 'queueFull':
        return { kind: 'queueFull', waiting: reply[1] as number, queuedBytes: reply[2] as number };
      case 'deadlineUnreachable':
        return { kind: 'deadlineUnreachable', lateMs: reply[1] as number };
      case 'unavailable':
      case 'staleVersion':
      case 'idempotencyConflict':
      case 'notRepeated':
        return { kind: reply[0] };
      default:
        return reply[0] satisfies never;
    }
  }

  /** Whether the tenant sent the key before, so that it may name a prediction. */
  async isKeyUsed(model: string, tenant: string, idempotencyKey: string): Promise<boolean> {
    const key = `${this.#keysOf(model).idempotency}${digestKey(tenant, idempotencyKey)}`;
    return (await callRedis(() => this.#redis.exists(key))) === 1;
  }

  /**
   * Cancels a prediction of any tenant, unless it has ended. Returns the resulting state, or null if the id is unknown.
   * @param onlyAbandoned cancel only while it waits and nobody shares its job
   */
  cancel(id: string, { onlyAbandoned = false } = {}): Promise<PredictionState | null> {
    return this.#cancel(id, '', onlyAbandoned);
  }

  /** As `cancel`, for a caller: another tenant's prediction is unknown, and that answer takes no longer than for any unknown id. */
  cancelFor(tenant: string, id: string): Promise<PredictionState | null> {
    return this.#cancel(id, tenant, false);
  }

  /** Expires predictions whose deadline has passed. Returns how many. Any process may call it at any time. */
  async expireDue(model: string): Promise<number> {
    return (await callRedis(() => runStep(this.#redis, 'expire', this.#keysOf(model), [EXPIRE_BATCH_SIZE]))) as number;
  }

  /** The current state and queue position of a prediction of any tenant; null if the id is unknown or its state has expired. */
  async read(id: string): Promise<Snapshot | null> {
    return refuseUnreadable((await callRedis(() => this.#readSnapshots([id])))[0]);
  }

  /** As `read`, for a caller: another tenant's prediction is unknown, and that answer takes no longer than for any unknown id. */
  async readFor(tenant: string, id: string): Promise<Snapshot | null> {
    return refuseUnreadable((await callRedis(() => this.#readSnapshots([id], tenant)))[0]);
  }

  /** As read, in the order of the ids; undefined for those that another release wrote. */
  async readMany(ids: string[]): Promise<(Snapshot | null | undefined)[]> {
    return await callRedis(() => this.#readSnapshots(ids));
  }

  #keysOf(model: string): ModelKeys {
    return modelKeys(this.#prefix, model);
  }

  async #cancel(id: string, tenant: string, onlyAbandoned: boolean): Promise<PredictionState | null> {
    const model = modelOfPrediction(id);
    if (!model) return null;
    const args = [id, tenant, onlyAbandoned ? '1' : '0'];
    const reply = await callRedis(() => runStep(this.#redis, 'cancel', this.#keysOf(model), args));
    return parseSnapshot(reply)?.state ?? null;
  }

  /** @param tenant the tenant whose predictions to read; undefined: of all tenants */
  async #readSnapshots(ids: string[], tenant?: string): Promise<(Snapshot | null | undefined)[]> {
    const snapshots: (Snapshot | null | undefined)[] = ids.map(() => null);
    const indexes = new Map<string, number[]>();
    ids.forEach((id, index) => {
      const model = modelOfPrediction(id);
      if (!model) return;
      const known = indexes.get(model);
      if (known) known.push(index);
      else indexes.set(model, [index]);
    });
    await Promise.all(
      [...indexes].map(async ([model, at]) => {
        const replies = (await runStep(this.#redis, 'read-predictions', this.#keysOf(model), [
          tenant ?? '',
          ...at.map((index) => ids[index]!),
        ])) as unknown[];
        at.forEach((index, i) => {
          snapshots[index] = this.#parseSnapshot(ids[index]!, replies[i]);
        });
      }),
    );
    return snapshots;
  }

  #parseSnapshot(id: string, reply: unknown): Snapshot | null | undefined {
    try {
      return parseSnapshot(reply);
    } catch (error) {
      this.#reportUnreadable(`a prediction of model ${modelOfPrediction(id)}`, error);
      return undefined;
    }
  }
}

/** What the admit step gets. */
function admission(request: AdmitRequest) {
  const { model } = request;
  const isCompared = request.share || request.cacheTtlMs > 0 || request.idempotencyKey !== undefined;
  // A digest of the pixels costs as much as the rest of this function.
  const work = isCompared ? fingerprint(request) : '';
  return {
    id: request.id,
    model: model.name,
    tenant: request.caller.tenant,
    version: model.version,
    priority: request.priority,
    weight: request.byOperator ? undefined : request.caller.weight,
    tenantShare: request.tenantShare ?? 1,
    capacityPerSecond: request.capacityPerSecond,
    charge: request.charge,
    fair: model.queue.fairShares ?? false,
    timeoutMs: request.timeoutMs,
    ttlMs: model.queue.resultTtlMs,
    maxAttempts: model.queue.maxAttempts,
    graceMs: model.queue.graceMs,
    maxQueueSize: model.queue.maxQueueSize,
    maxQueuedBytes: model.queue.maxQueuedBytes,
    options: JSON.stringify(request.options),
    fingerprint: work,
    share: request.share,
    cacheTtlMs: request.cacheTtlMs,
    idempotency:
      request.idempotencyKey === undefined
        ? undefined
        : {
            key: digestKey(request.caller.tenant, request.idempotencyKey, request.byOperator),
            content: request.content ?? work,
          },
    repeatOnly: request.repeatOnly,
    retryOf: request.retryOf,
  };
}

/** @throws InferqlError UNAVAILABLE: a server of the other release can read it */
function refuseUnreadable(snapshot: Snapshot | null | undefined): Snapshot | null {
  if (snapshot !== undefined) return snapshot;
  throw new InferqlError('UNAVAILABLE', { message: 'This server cannot read that prediction.', retryAfterMs: 5_000 });
}
