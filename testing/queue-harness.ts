/** A server's side of the queue, for tests of workers: submits images and sees every event. */
import { randomBytes } from 'node:crypto';
import {
  ANONYMOUS_CALLER,
  isTerminal,
  newPredictionId,
  type PredictionState,
  type ServedModel,
} from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { Registry } from '@inferql/queue/models/registry';
import { EventChannel } from '@inferql/queue/predictions/event-channel';
import { type AdmitRequest, Producer } from '@inferql/queue/predictions/producer';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';

export function createQueueHarness(redisUrl: string): QueueHarness {
  return new QueueHarness(redisUrl);
}

export class QueueHarness {
  /** Separates this queue's keys from those of other tests. */
  readonly prefix = `test-${randomBytes(6).toString('hex')}`;
  readonly producer: Producer;
  readonly registry: Registry;
  readonly #connections: RedisConnection[];
  readonly #events: EventChannel;
  readonly #states = new Map<string, PredictionState[]>();
  readonly #submitted = new Set<string>();
  #listeners: (() => void)[] = [];
  #isClosed = false;

  constructor(redisUrl: string) {
    const { prefix } = this;
    const redis = connectRedis(redisUrl, 'request');
    const subscriber = connectRedis(redisUrl, 'subscriber');
    this.#connections = [redis, subscriber];
    for (const connection of this.#connections) connection.on('error', () => {});
    this.producer = new Producer(redis, { prefix });
    this.registry = new Registry(redis, { prefix });
    this.#events = new EventChannel(
      { subscriber, redis, prefix },
      {
        onState: (_id, parse) => this.#note(parse()),
        onGap: () => this.#readAgain(),
        onModelsChanged: () => this.#notify(),
      },
    );
  }

  /** Resolves once the model is announced and its channel is subscribed. */
  async model(name: string): Promise<ServedModel> {
    const models = await this.untilRegistry(
      (registry) => registry.models(),
      (all) => all.some((one) => one.name === name),
    );
    await this.#events.subscribe(name);
    return models.find((one) => one.name === name)!;
  }

  /** Admits an image. Returns its id. @throws if it is not admitted. */
  async submit(model: ServedModel, image: Uint8Array, options: Partial<AdmitRequest> = {}): Promise<string> {
    const id = newPredictionId(model.name);
    this.#submitted.add(id);
    const outcome = await this.producer.admit({
      id,
      model,
      image,
      options: { heatmap: false },
      priority: 'NORMAL',
      timeoutMs: 60_000,
      caller: ANONYMOUS_CALLER,
      share: false,
      cacheTtlMs: 0,
      ...options,
    });
    if (outcome.kind !== 'admitted') throw new Error(outcome.kind);
    this.#note(outcome.state);
    return outcome.state.id;
  }

  /** The first state, past or to come, that fits. */
  async when(id: string, fits: (state: PredictionState) => boolean): Promise<PredictionState> {
    for (;;) {
      const found = this.heard(id).find(fits);
      if (found) return found;
      await this.#nextChange();
    }
  }

  /** The terminal state. */
  end(id: string): Promise<PredictionState> {
    return this.when(id, (state) => isTerminal(state.status));
  }

  /** Every received state of the id, in order. */
  heard(id: string): PredictionState[] {
    return this.#states.get(id) ?? [];
  }

  /** Resolves with what is read of the registry once it fits. Reads again when a model is registered, changed or named the default. */
  async untilRegistry<Read>(read: (registry: Registry) => Promise<Read>, fits: (read: Read) => boolean): Promise<Read> {
    for (;;) {
      // Before the read: a change between its reply and the wait would be lost.
      const change = this.#nextChange();
      const found = await this.#untilRead(() => read(this.registry));
      if (this.#isClosed) throw new Error('the queue was closed before what was read fitted');
      if (fits(found as Read)) return found as Read;
      await change;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#events.close();
    for (const connection of this.#connections) connection.disconnect();
  }

  #note(state: PredictionState): void {
    const states = this.heard(state.id);
    if (states.length > 0 && states.at(-1)!.revision >= state.revision) return;
    states.push(state);
    this.#states.set(state.id, states);
    this.#notify();
  }

  async #readAgain(): Promise<void> {
    const snapshots = await this.#untilRead(() => this.producer.readMany([...this.#submitted]));
    for (const snapshot of snapshots ?? []) if (snapshot) this.#note(snapshot.state);
  }

  /** The connection refuses at once until it is ready, when it opens and again after an outage. @returns undefined once closed */
  async #untilRead<Read>(read: () => Promise<Read>): Promise<Read | undefined> {
    while (!this.#isClosed) {
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof InferqlError) || error.code !== 'UNAVAILABLE') throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    return undefined;
  }

  #nextChange(): Promise<void> {
    return new Promise<void>((resolve) => this.#listeners.push(resolve));
  }

  #notify(): void {
    const woken = this.#listeners;
    this.#listeners = [];
    for (const wake of woken) wake();
  }
}
